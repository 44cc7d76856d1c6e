// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT (RFC 7296 section 1.2), initiator's half first.
#include "ike/v2/init.h"

#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/certificates.h"
#include "ike/v2/fragments.h"
#include "ike/v2/gate.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/nat.h"
#include "ike/v2/proofs.h"
#include "ike/v2/puzzles.h"
#include "ike/v2/request.h"
#include "model/selection.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// RFC 7296 section 2.10: "at least half the key size of the negotiated pseudorandom function"; the largest here has 64
// octets.
constexpr std::size_t kNonceOctets = 32;
constexpr unsigned kMostCookies = 4;
// An honest initiator sends its request some six times; who forges its address gets no more out of us than this.
constexpr unsigned kMostRepeats = 8;
constexpr Duration kRefusalPatience = std::chrono::seconds(2);

wi::SaPayload ike_sa_payload(const std::vector<model::Proposal>& proposals) {
  wi::SaPayload out;
  std::uint8_t number = 1;
  for (const auto& proposal : proposals) {
    wi::SaProposal p;
    p.number = number++;
    p.proposal = proposal;
    out.proposals.push_back(std::move(p));
  }
  return out;
}

std::vector<model::Proposal> understood(const wi::SaPayload& sa) {
  std::vector<model::Proposal> out;
  for (const auto& p : sa.proposals) out.push_back(p.understood());
  return out;
}

void send_init_request(World& world, IkeSa& sa) {
  auto& h = *sa.handshake;
  wi::Message message;
  message.header.spi_i = sa.spi_i;
  message.header.exchange = wi::ExchangeType::kIkeSaInit;
  message.header.initiator = true;
  // RFC 7296 section 2.6: "with the COOKIE notification ... as the first payload and all other payloads unchanged".
  if (!h.cookie.empty()) message.payloads.emplace_back(notify(wi::NotifyType::kCookie, h.cookie));
  // RFC 8019 section 7.1.2: the solution goes right behind the cookie.
  if (!h.solution.empty()) message.payloads.emplace_back(wi::PuzzleSolutionPayload{h.solution});
  message.payloads.emplace_back(ike_sa_payload(h.offered));
  message.payloads.emplace_back(wi::KePayload{h.group, h.own.public_value});
  message.payloads.emplace_back(wi::NoncePayload{h.nonce_i});
  add_nat_detection(world, message.payloads, sa.spi_i, IkeSpi(), sa.path, wish(sa));
  if (speaks_fragmentation(*sa.connection))
    message.payloads.emplace_back(notify(wi::NotifyType::kIkev2FragmentationSupported));
  if (sa.connection->remote.auth == model::AuthMethod::kSignature)
    message.payloads.emplace_back(signature_hash_algorithms());
  h.request = wi::serialize_message(message);
  world.report(sa, Severity::kInfo, "ike-sa-init-sent",
               "sent IKE_SA_INIT request to " + sa.peer() + " (" + std::to_string(h.request.size()) +
                   " octets, group " +
                   model::to_string(
                       model::Transform{model::TransformType::kKeyExchange, static_cast<std::uint16_t>(h.group), 0}) +
                   ")");
  send_first_request(world, sa, h.request);
}

Outcome init_failed(Turn& turn, const std::string& event, const std::string& message) {
  turn.world.report(*turn.sa, Severity::kError, event, message);
  turn.sa->end_reason = message;
  return Outcome::kDie;
}

// A refusal that nobody signed. RFC 7296 section 2.21.1: "the recipient should continue trying for some time before
// giving up": the honest peer may still answer.
Outcome soft_refusal(Turn& turn, const std::string& event, const std::string& message) {
  auto& sa = *turn.sa;
  if (!sa.handshake->refusal.empty()) return Outcome::kStay;
  turn.world.report(sa, Severity::kError, event, message);
  sa.handshake->refusal = message;
  sa.give_up_at = turn.world.now + kRefusalPatience;
  return Outcome::kStay;
}

// An unprotected answer to an IKE_SA_INIT request for which nothing is remembered.
void send_stateless(Turn& turn, wi::NotifyPayload payload) {
  wi::Message message;
  message.header = *turn.header;
  message.header.initiator = false;
  message.header.response = true;
  message.header.minor_version = 0;
  message.payloads.emplace_back(std::move(payload));
  turn.world.send_raw(turn.path, wi::serialize_message(message));
}

void stray_report(Turn& turn, Severity severity, std::string event, std::string message) {
  if (turn.world.stray_reports.allow(turn.world.now)) {
    turn.world.report(severity, "", turn.path.remote.to_string(), std::move(event), std::move(message));
  }
}

// A request that was seen before: answered from memory, or still being worked on.
bool is_retransmission(Turn& turn) {
  auto& world = turn.world;
  const auto known = world.answered.find({turn.header->spi_i, turn.path.remote});
  if (known == world.answered.end()) return false;
  auto* sa = world.find_sa(known->second);
  if (sa == nullptr || !sa->handshake) return false;
  if (sa->handshake->request != Bytes(turn.datagram.begin(), turn.datagram.end())) return false;
  const bool was_answered = sa->state == State::kInitAnswered || sa->state == State::kInitGuarded;
  if (was_answered && sa->handshake->repeats < kMostRepeats) {
    ++sa->handshake->repeats;
    ++world.counters.retransmits_answered;
    world.send_raw(turn.path, sa->handshake->response);
  }
  return true;
}

struct Choice {
  ConnectionPtr connection;
  model::Selected<model::ChosenIke> selected;
};

// The best connection by address whose proposals meet the peer's.
std::optional<Choice> choose_connection(const std::vector<ConnectionPtr>& candidates,
                                        const std::vector<model::Proposal>& offered, model::KeGroup group) {
  for (const auto& connection : candidates) {
    if (auto selected = model::select_ike(offered, connection->proposals, group))
      return Choice{connection, std::move(*selected)};
  }
  return std::nullopt;
}

void begin_answer(Turn& turn, const Choice& choice, const wi::KePayload& ke, const wi::NoncePayload& nonce) {
  auto& world = turn.world;
  auto owned = std::make_unique<IkeSa>();
  owned->initiator = false;
  owned->spi_i = turn.header->spi_i;
  owned->spi_r = world.new_ike_spi();
  owned->path = turn.path;
  owned->connection = choice.connection;
  owned->algorithms = choice.selected.chosen;
  owned->state = State::kAnswering;
  owned->give_up_at = world.now + std::chrono::seconds(world.settings.half_open_timeout_s);
  owned->handshake = std::make_unique<Handshake>();
  auto& h = *owned->handshake;
  h.nonce_i = nonce.data;
  h.nonce_r = world.random.bytes(kNonceOctets);
  h.group = ke.group;
  h.peer_public = ke.data;
  h.request = Bytes(turn.datagram.begin(), turn.datagram.end());
  h.peer = turn.path.remote;
  read_peer_wishes(h, *turn.payloads);
  h.reply = choice.selected.reply;
  h.reply_number = wi::find_payload<wi::SaPayload>(*turn.payloads)->proposals[choice.selected.index].number;
  read_nat_detection(*owned, *turn.payloads, owned->spi_i, IkeSpi(), turn.path);
  read_fragmentation(world, *owned, *turn.payloads);
  auto& sa = world.add_sa(std::move(owned));
  enter_half_open(world, sa);
  world.report(
      sa, Severity::kInfo, "ike-sa-init-received",
      "received IKE_SA_INIT request from " + sa.peer() + ": " + model::to_string(sa.algorithms) + "; " + nat_words(sa));
  // RFC 8019 section 7.2.1: "The Responder MUST NOT use puzzles in the IKE_AUTH exchange unless a puzzle has been
  // previously presented and solved in the preceding IKE_SA_INIT exchange."
  const bool guarded = has_paid(world, turn) && wants_auth_puzzle(world);
  // Then there is no shared secret before IKE_AUTH came with the solution.
  world.order_job(sa, About::kPeerRequest, ke.group, std::nullopt, guarded ? std::nullopt : std::optional(ke.data));
}

}  // namespace

Outcome on_init_key_ready(Turn& turn) {
  auto& sa = *turn.sa;
  if (!turn.job->own) return init_failed(turn, "key-exchange-failed", "cannot make a key pair: " + turn.job->error);
  sa.handshake->own = *turn.job->own;
  if (sa.handshake->nonce_i.empty()) sa.handshake->nonce_i = turn.world.random.bytes(kNonceOctets);
  send_init_request(turn.world, sa);
  return Outcome::kNext;
}

Outcome on_cookie_wanted(Turn& turn) {
  auto& sa = *turn.sa;
  const auto* cookie = wi::find_notify(*turn.payloads, wi::NotifyType::kCookie);
  // RFC 7296 section 2.6: "between 1 and 64 octets in length".
  if (cookie->data.empty() || cookie->data.size() > 64) return Outcome::kStay;
  if (cookie->data == sa.handshake->cookie) return Outcome::kStay;  // an answer to the request before this one
  if (++sa.handshake->cookies_seen > kMostCookies) {
    return soft_refusal(turn, "cookie-loop", sa.peer() + " asks for a new cookie again and again");
  }
  sa.handshake->cookie = cookie->data;
  sa.handshake->solution.clear();
  request_answered(turn.world, sa);
  turn.world.report(sa, Severity::kInfo, "cookie-received", sa.peer() + " is busy and asks for a cookie");
  send_init_request(turn.world, sa);
  return Outcome::kNext;
}

Outcome on_puzzle_wanted(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  const auto* cookie = wi::find_notify(*turn.payloads, wi::NotifyType::kCookie);
  const auto* notification = wi::find_notify(*turn.payloads, wi::NotifyType::kPuzzle);
  const auto puzzle = wi::parse_puzzle_demand(ByteView(notification->data));
  // RFC 8019 section 7.1.1.2: the PRF is one of those offered. Who asks for another, or for too much, gets the cookie
  // alone, as from an initiator that knows no puzzles.
  const bool fair = puzzle && is_fair(world, sa, *puzzle);
  if (puzzle && !fair)
    world.report(sa, Severity::kWarning, "puzzle-refused",
                 sa.peer() + " is very busy and asks for the solution of a puzzle of difficulty " +
                     std::to_string(puzzle->difficulty) + ": trying without, see hardest-puzzle= and ike=");
  if (!fair || cookie->data == h.cookie) {
    (void)on_cookie_wanted(turn);
    return Outcome::kStay;
  }
  if (cookie->data.empty() || cookie->data.size() > 64) return Outcome::kStay;
  if (++h.cookies_seen > kMostCookies) {
    return soft_refusal(turn, "cookie-loop", sa.peer() + " asks for a new puzzle again and again");
  }
  h.cookie = cookie->data;
  request_answered(world, sa);
  const auto difficulty = bits_wanted(*puzzle);
  world.report(
      sa, Severity::kInfo, "puzzle-received",
      sa.peer() + " is very busy and asks for the solution of a puzzle of difficulty " + std::to_string(difficulty));
  world.order_puzzle(sa, About::kInit, puzzle->prf, difficulty, h.cookie);
  return Outcome::kNext;
}

Outcome on_puzzle_solved(Turn& turn) {
  auto& sa = *turn.sa;
  sa.handshake->solution = turn.puzzle->keys;
  if (!turn.puzzle->error.empty())
    turn.world.report(sa, Severity::kWarning, "puzzle-unsolved", turn.puzzle->error + ": asking without a solution");
  send_init_request(turn.world, sa);
  return Outcome::kNext;
}

Outcome on_other_group_wanted(Turn& turn) {
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  const auto* n = wi::find_notify(*turn.payloads, wi::NotifyType::kInvalidKePayload);
  if (n->data.size() != 2) return Outcome::kStay;
  const auto group = static_cast<model::KeGroup>(load_be16(n->data.data()));
  const auto text =
      model::to_string(model::Transform{model::TransformType::kKeyExchange, static_cast<std::uint16_t>(group), 0});
  const auto offered = model::groups_of(h.offered);
  // RFC 7296 section 1.2: only a group from the offer will do: anything else could be a downgrade by someone on the
  // way.
  if (std::find(offered.begin(), offered.end(), group) == offered.end()) {
    return soft_refusal(
        turn, "invalid-ke",
        sa.peer() + " wants group " + text + ", which we do not offer: add it to ike= here or change the peer's ike=");
  }
  if (group == h.group) return Outcome::kStay;  // an answer to the request before this one
  if (std::find(h.groups_tried.begin(), h.groups_tried.end(), group) != h.groups_tried.end()) {
    return soft_refusal(turn, "invalid-ke", sa.peer() + " wants group " + text + " and does not take it either");
  }
  sa.give_up_at = kNever;
  h.refusal.clear();
  h.groups_tried.push_back(group);
  h.group = group;
  request_answered(turn.world, sa);
  turn.world.report(sa, Severity::kInfo, "other-group-wanted",
                    sa.peer() + " wants group " + text + ": trying again with it");
  turn.world.order_job(sa, About::kInit, group, std::nullopt, std::nullopt);
  return Outcome::kNext;
}

Outcome on_init_response(Turn& turn) {
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  const auto& answer = *wi::find_payload<wi::SaPayload>(*turn.payloads);
  const auto& ke = *wi::find_payload<wi::KePayload>(*turn.payloads);
  if (turn.header->spi_r.is_zero()) return Outcome::kStay;
  const auto chosen =
      answer.proposals.size() == 1 ? model::accept_ike(answer.proposals[0].proposal, h.offered) : std::nullopt;
  if (!chosen) {
    const auto what =
        answer.proposals.empty() ? std::string("nothing") : model::to_string(answer.proposals[0].proposal);
    return soft_refusal(turn, "answer-unacceptable", sa.peer() + " chose " + what + ", which we did not offer");
  }
  // RFC 7296 section 3.4: the group of KE "MUST match a Diffie-Hellman group specified in a proposal".
  if (ke.group != chosen->group || ke.group != h.group) {
    return soft_refusal(turn, "answer-unacceptable", sa.peer() + "'s public value is not in the group that was chosen");
  }
  // RFC 8019 section 9: "Initiators SHOULD set a maximum difficulty level beyond which they won't try to solve the
  // puzzle and log or display a failure message".
  if (const auto fault = read_auth_puzzle(turn.world, sa, *turn.payloads); !fault.empty())
    return soft_refusal(turn, "puzzle-refused", fault);
  request_answered(turn.world, sa);
  sa.give_up_at = kNever;
  sa.algorithms = *chosen;
  sa.spi_r = turn.header->spi_r;
  h.nonce_r = wi::find_payload<wi::NoncePayload>(*turn.payloads)->data;
  h.peer_public = ke.data;
  read_peer_wishes(h, *turn.payloads);
  read_certificate_requests(h, *turn.payloads);
  h.response = Bytes(turn.datagram.begin(), turn.datagram.end());
  sa.path.local.address = turn.path.local.address;
  read_nat_detection(sa, *turn.payloads, sa.spi_i, sa.spi_r, turn.path);
  read_fragmentation(turn.world, sa, *turn.payloads);
  h.childless = wi::find_notify(*turn.payloads, wi::NotifyType::kChildlessIkev2Supported) != nullptr;
  if (sa.connection->childless == model::Childless::kForce && !h.childless) {
    return init_failed(turn, "childless-unsupported",
                       sa.peer() +
                           " does not take an IKE SA without a child (RFC 6023), and childless=force wants "
                           "nothing else: write childless=prefer");
  }
  turn.world.report(sa, Severity::kInfo, "ike-sa-init-received",
                    "received IKE_SA_INIT response: " + model::to_string(sa.algorithms) + "; " + nat_words(sa));
  turn.world.order_job(sa, About::kInit, h.group, h.own, ke.data);
  return Outcome::kNext;
}

Outcome on_init_refused(Turn& turn) {
  auto& sa = *turn.sa;
  const auto* error = wi::find_error_notify(*turn.payloads);
  if (error->type == wi::NotifyType::kNoProposalChosen) {
    return soft_refusal(turn, "no-proposal-chosen",
                        diagnosis::proposals_refused(sa.peer(), sa.handshake->offered, "ike") +
                            " (or the peer has no connection for our address at all)");
  }
  return soft_refusal(turn, "ike-sa-init-refused",
                      sa.peer() + " refused: " + diagnosis::meaning(*error) + " (" + wi::to_string(error->type) + ")");
}

Outcome on_init_secret_ready(Turn& turn) {
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  if (!turn.job->shared_secret) {
    return init_failed(turn, "key-exchange-failed",
                       "the public value of " + sa.peer() + " is not sound: " + turn.job->error);
  }
  if (const auto keyed = use_shared_secret(sa, ByteView(*turn.job->shared_secret)); !keyed)
    return init_failed(turn, "key-exchange-failed", keyed.error().message);
  h.own = {};
  move_to_nat_port(turn.world, sa);
  if (h.auth_puzzle) {
    order_auth_puzzle(turn.world, sa);
    sa.state = State::kInitSolving;
    return Outcome::kStay;
  }
  const auto fault = begin_auth(turn.world, sa);
  return fault.empty() ? Outcome::kNext : init_failed(turn, "no-proof", fault);
}

Outcome on_init_request(Turn& turn) {
  auto& world = turn.world;
  const auto* offer = wi::find_payload<wi::SaPayload>(*turn.payloads);
  const auto* ke = wi::find_payload<wi::KePayload>(*turn.payloads);
  const auto* nonce = wi::find_payload<wi::NoncePayload>(*turn.payloads);
  if (turn.header->spi_i.is_zero() || !turn.header->spi_r.is_zero() || turn.header->message_id != MessageId(0))
    return Outcome::kStay;
  if (is_retransmission(turn)) return Outcome::kStay;
  const auto candidates = world.connections_for(turn.path);
  if (candidates.empty()) {
    stray_report(turn, Severity::kWarning, "no-connection",
                 diagnosis::no_connection_for(turn.path.local, turn.path.remote, world.connections));
    if (world.stray_replies.allow(world.now)) send_stateless(turn, notify(wi::NotifyType::kNoProposalChosen));
    return Outcome::kStay;
  }
  if (world.half_open.total() >= world.settings.setup.half_open_limit) {
    ++world.counters.half_open_refused;
    return Outcome::kStay;
  }
  const auto offered = understood(*offer);
  const auto choice = choose_connection(candidates, offered, ke->group);
  if (!choice) {
    ++world.counters.negotiations_failed;
    if (world.stray_reports.allow(world.now)) {
      const auto& nearest = *candidates.front();
      world.report(
          Severity::kError, nearest.name, turn.path.remote.to_string(), "no-proposal-chosen",
          diagnosis::proposal_difference(turn.path.remote.to_string(), offered, nearest.proposals, "ike", true));
    }
    send_stateless(turn, notify(wi::NotifyType::kNoProposalChosen));
    return Outcome::kStay;
  }
  if (choice->selected.chosen.group != ke->group) {
    // RFC 7296 section 3.4: "the message MUST be rejected with a Notify payload of type INVALID_KE_PAYLOAD".
    Bytes wanted(2);
    store_be16(wanted.data(), static_cast<std::uint16_t>(choice->selected.chosen.group));
    stray_report(
        turn, Severity::kInfo, "other-group-asked",
        "asked " + turn.path.remote.to_string() + " for group " +
            model::to_string(model::Transform{model::TransformType::kKeyExchange, load_be16(wanted.data()), 0}));
    send_stateless(turn, notify(wi::NotifyType::kInvalidKePayload, std::move(wanted)));
    return Outcome::kStay;
  }
  begin_answer(turn, *choice, *ke, *nonce);
  return Outcome::kNext;
}

Outcome on_answer_ready(Turn& turn) {
  auto& sa = *turn.sa;
  if (!turn.job->shared_secret || !turn.job->own) {
    return init_failed(turn, "key-exchange-failed",
                       "the public value of " + sa.peer() + " is not sound: " + turn.job->error);
  }
  if (const auto keyed = use_shared_secret(sa, ByteView(*turn.job->shared_secret)); !keyed)
    return init_failed(turn, "key-exchange-failed", keyed.error().message);
  answer_init(turn.world, sa, turn.job->own->public_value);
  return Outcome::kNext;
}

Result<void> use_shared_secret(IkeSa& sa, ByteView secret) {
  const auto& h = *sa.handshake;
  const auto seed = initial_skeyseed(sa.algorithms.prf, ByteView(h.nonce_i), ByteView(h.nonce_r), secret);
  auto keys =
      derive_ike_keys(sa.algorithms, ByteView(seed), ByteView(h.nonce_i), ByteView(h.nonce_r), sa.spi_i, sa.spi_r);
  if (!keys) return std::unexpected(keys.error());
  return set_keys(sa, std::move(*keys));
}

void answer_init(World& world, IkeSa& sa, const Bytes& public_value) {
  auto& h = *sa.handshake;
  wi::Message message;
  message.header.spi_i = sa.spi_i;
  message.header.spi_r = sa.spi_r;
  message.header.exchange = wi::ExchangeType::kIkeSaInit;
  message.header.response = true;
  wi::SaPayload answer;
  wi::SaProposal proposal;
  proposal.number = h.reply_number;
  proposal.proposal = h.reply;
  answer.proposals.push_back(std::move(proposal));
  message.payloads.emplace_back(std::move(answer));
  message.payloads.emplace_back(wi::KePayload{h.group, public_value});
  message.payloads.emplace_back(wi::NoncePayload{h.nonce_r});
  if (h.auth_puzzle)
    message.payloads.emplace_back(notify(wi::NotifyType::kPuzzle, wi::serialize_puzzle_demand(*h.auth_puzzle)));
  // Which connection it is, only IKE_AUTH will tell: any that this peer may be counts.
  const auto candidates = world.connections_for(sa.path);
  ask_for_certificate(world, candidates, kAuthoritiesInInit, message.payloads);
  // RFC 7296 section 2.23: an answer to a peer that did not speak of NATs need not either.
  if (sa.peer_speaks_nat_t) add_nat_detection(world, message.payloads, sa.spi_i, sa.spi_r, sa.path, wish(sa));
  if (sa.fragmentation) message.payloads.emplace_back(notify(wi::NotifyType::kIkev2FragmentationSupported));
  // RFC 6023 section 3: the responder says so here; the initiator decides whether it begins without a child.
  if (sa.connection->childless != model::Childless::kNever)
    message.payloads.emplace_back(notify(wi::NotifyType::kChildlessIkev2Supported));
  if (std::any_of(candidates.begin(), candidates.end(),
                  [](const auto& c) { return c->remote.auth == model::AuthMethod::kSignature; }))
    message.payloads.emplace_back(signature_hash_algorithms());
  h.response = wi::serialize_message(message);
  sa.expected = MessageId(1);
  world.report(sa, Severity::kInfo, "ike-sa-init-answered", "sent IKE_SA_INIT response to " + sa.peer());
  world.send_raw(sa.path, h.response);
}

}  // namespace cygnet::ike::v2
