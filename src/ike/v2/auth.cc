// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH with pre-shared keys (RFC 7296 sections 1.2 and 2.15), initiator's half first.
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr Duration kRefusedStays = std::chrono::seconds(10);

const model::Child* child_of(const ChildWant& want) {
  for (const auto& child : want.connection->children) {
    if (child.name == want.child) return &child;
  }
  return nullptr;
}

Outcome auth_failed(Turn& turn, const std::string& event, const std::string& message) {
  turn.world.report(*turn.sa, Severity::kError, event, message);
  turn.sa->end_reason = message;
  return Outcome::kDie;
}

auth::PskQuery query_of(const IkeSa& sa, const model::Identity& local, const model::Identity& remote) {
  return {local, remote, sa.path.local.address, sa.path.remote.address};
}

// Octets that the initiator (or the responder) signs.
Bytes octets_of(const IkeSa& sa, bool initiator, ByteView id_rest) {
  const auto& h = *sa.handshake;
  return initiator
             ? signed_octets(sa.algorithms.prf, ByteView(h.request), ByteView(h.nonce_r), ByteView(sa.keys.pi), id_rest)
             : signed_octets(sa.algorithms.prf, ByteView(h.response), ByteView(h.nonce_i), ByteView(sa.keys.pr),
                             id_rest);
}

bool same_ends(const IkeSa& a, const IkeSa& b) { return a.local_id == b.local_id && a.remote_id.matches(b.remote_id); }

// RFC 7296 section 2.4: INITIAL_CONTACT "asserts that this IKE SA is the only IKE SA currently active between the
// authenticated identities".
bool is_first_contact(const World& world, const IkeSa& sa, const std::optional<model::Identity>& peer) {
  if (!peer) return false;
  return std::none_of(world.sas.begin(), world.sas.end(), [&](const auto& entry) {
    const auto& other = *entry.second;
    return other.state == State::kEstablished && other.local_id == sa.local_id && other.remote_id.matches(*peer);
  });
}

void forget_older(World& world, const IkeSa& fresh) {
  std::vector<IkeSa*> older;
  for (const auto& [spi, sa] : world.sas) {
    if (sa.get() != &fresh && sa->established != Instant{} && sa->alive() && same_ends(*sa, fresh))
      older.push_back(sa.get());
  }
  for (auto* sa : older) {
    const std::string reason = sa->peer() + " started afresh (INITIAL_CONTACT)";
    world.report(*sa, Severity::kNotice, "initial-contact", "forgetting an older IKE SA: " + reason);
    // Should the peer know it after all, it learns here that it is gone.
    wi::DeletePayload goodbye;
    goodbye.protocol = model::Protocol::kIke;
    if (sa->state == State::kEstablished) send_parting(world, *sa, {goodbye});
    end_sa(world, *sa, reason, Aftermath::kKeepUp);
  }
}

// Both ends initiated at the same time: of two IKE SAs with the same children, the one with the lower initiator's SPI
// is given up by its initiator.
void drop_redundant(World& world, IkeSa& fresh) {
  for (const auto& [spi, other] : world.sas) {
    if (other.get() == &fresh || other->state != State::kEstablished || !same_ends(*other, fresh)) continue;
    if (other->initiator == fresh.initiator) continue;
    auto& loser = other->spi_i < fresh.spi_i ? *other : fresh;
    const auto& winner = &loser == &fresh ? *other : fresh;
    if (!loser.initiator) continue;
    const bool covered = std::all_of(loser.children.begin(), loser.children.end(), [&](const auto& c) {
      return !c->usable() || winner.has_usable_child(c->connection->name, c->name);
    });
    if (!covered) continue;
    delete_ike_sa(world, loser, "both ends initiated at the same time, and the other IKE SA stays", Aftermath::kForget);
    return;
  }
}

void establish(World& world, IkeSa& sa, const std::string& secret_source) {
  sa.state = State::kEstablished;
  sa.established = world.now;
  sa.last_inbound = world.now;
  sa.give_up_at = kNever;
  plan_lifetime(world, sa);
  ++world.counters.established;
  sa.counted = true;
  world.report(sa, Severity::kNotice, "ike-up",
               "authenticated peer as '" + sa.remote_id.to_string() + "' with pre-shared key" +
                   (secret_source.empty() ? "" : " (" + secret_source + ")"));
  world.act(IkeUp{sa.name(), sa.spi_i, sa.spi_r, sa.initiator});
}

// ---- initiator

// The first child, as the responder's IKE_AUTH answers it.
void finish_first_child(Turn& turn, ChildWant want) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  const auto* error = wi::find_error_notify(*turn.payloads);
  const bool refused = error != nullptr && wi::find_payload<wi::SaPayload>(*turn.payloads) == nullptr;
  auto terms =
      refused
          ? std::expected<ChildTerms, Refusal>(std::unexpected(explain_refusal(sa, *error, h.offered, h.tsi, h.tsr)))
          : read_answer(world, sa, want.connection, want.child, h.offered, h.tsi, h.tsr,
                        model::ChildKeyExchange::kIgnore, *turn.payloads);
  if (terms) {
    const auto keys = derive_child_keys(terms->algorithms, sa.algorithms.prf, ByteView(sa.keys.d), ByteView(h.nonce_i),
                                        ByteView(h.nonce_r), {});
    if (keys) {
      const auto& child = install_child(world, sa, *terms, *keys, {.spi_in = h.child_spi, .we_initiated = true});
      h.child_spi = Spi();
      return want_succeeded(world, want, "child " + want.child + " up: ESP " + child_words(child));
    }
    terms = std::unexpected(Refusal{{}, {}, "key-derivation-failed", keys.error().message});
  }
  world.esp_spis.erase(h.child_spi);
  world.report(sa, Severity::kError, terms.error().event, terms.error().message);
  if (!refused) {
    // The peer believes that it has this child.
    Task undo;
    undo.about = About::kDeleteChild;
    undo.orphan_spi = h.child_spi;
    sa.queue.push_back(std::move(undo));
  }
  h.child_spi = Spi();
  want_failed(world, std::move(want), terms.error().message);
}

// ---- responder

struct Verdict {
  ConnectionPtr connection;
  model::Identity local_id;
  std::string secret_source;
};

// Who is it, and is it true? The failure is the sentence for our log; the peer hears AUTHENTICATION_FAILED alone.
std::expected<Verdict, std::pair<std::string, std::string>> authenticate_initiator(Turn& turn) {
  const auto& sa = *turn.sa;
  const auto& idi = *wi::find_id(*turn.payloads, true);
  const auto* idr = wi::find_id(*turn.payloads, false);
  const auto& auth = *wi::find_payload<wi::AuthPayload>(*turn.payloads);
  const auto* asked_for = idr == nullptr ? nullptr : &idr->identity;
  const auto candidates = by_identity(turn.world, sa, idi.identity, asked_for);
  if (candidates.empty()) {
    return std::unexpected(
        std::pair{std::string("identity-unknown"),
                  diagnosis::nobody_matches(sa.peer(), idi.identity, asked_for, by_address(turn.world, sa.path),
                                            sa.path.local.address)});
  }
  if (auth.method != wi::AuthMethodId::kSharedKey) {
    return std::unexpected(std::pair{std::string("auth-method-unsupported"),
                                     sa.peer() + " authenticates with " + wi::to_string(auth.method) +
                                         ", but connection " + candidates.front()->name +
                                         " wants a pre-shared key: write authby=secret at the peer"});
  }
  const auto& connection = candidates.front();
  const auto local_id = own_identity(*connection, sa.path.local.address);
  const auto expected = turn.world.keys->psk_auth(sa.algorithms.prf, query_of(sa, local_id, idi.identity),
                                                  octets_of(sa, true, ByteView(idi.rest)));
  if (!expected) return std::unexpected(std::pair{std::string("no-secret"), expected.error().message});
  if (!constant_time_equal(ByteView(expected->value), ByteView(auth.data))) {
    return std::unexpected(std::pair{std::string("auth-failed"),
                                     diagnosis::keys_differ(sa.peer(), local_id, idi.identity, expected->source)});
  }
  return Verdict{connection, local_id, expected->source};
}

Outcome refuse_initiator(Turn& turn, const std::string& event, const std::string& message) {
  ++turn.world.counters.negotiations_failed;
  // RFC 7296 section 2.21.2: the answer is protected and says AUTHENTICATION_FAILED, no more.
  send_response(turn.world, *turn.sa, wi::ExchangeType::kIkeAuth, turn.header->message_id,
                {notify(wi::NotifyType::kAuthenticationFailed)});
  turn.world.report(*turn.sa, Severity::kError, event, message);
  // It stays for a moment, still among the half-open ones, so that a lost answer can be sent again.
  turn.sa->end_reason = message;
  turn.sa->give_up_at = turn.world.now + kRefusedStays;
  return Outcome::kStay;
}

// The child that rides on IKE_AUTH; its refusal does not harm the IKE SA (RFC 7296 section 1.2).
void answer_first_child(Turn& turn, wi::Payloads& answer) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (wi::find_payload<wi::SaPayload>(*turn.payloads) == nullptr) return;
  auto terms = choose_child(world, sa, *turn.payloads, model::ChildKeyExchange::kIgnore, nullptr);
  if (terms) {
    const auto keys = derive_child_keys(terms->algorithms, sa.algorithms.prf, ByteView(sa.keys.d),
                                        ByteView(sa.handshake->nonce_i), ByteView(sa.handshake->nonce_r), {});
    if (keys) {
      const Spi spi_in = world.new_esp_spi();
      for (auto& payload : answer_child(*terms, spi_in)) answer.push_back(std::move(payload));
      install_child(world, sa, *terms, *keys, {.spi_in = spi_in});
      return;
    }
    terms =
        std::unexpected(Refusal{wi::NotifyType::kNoProposalChosen, {}, "key-derivation-failed", keys.error().message});
  }
  ++world.counters.negotiations_failed;
  answer.emplace_back(notify(terms.error().notify, terms.error().data));
  world.report(sa, Severity::kError, terms.error().event, terms.error().message);
}

}  // namespace

void send_auth_request(World& world, IkeSa& sa) {
  auto& h = *sa.handshake;
  const auto peer_id = expected_identity(*sa.connection);
  sa.local_id = own_identity(*sa.connection, sa.path.local.address);
  const auto idi = wi::make_id(true, sa.local_id);
  const auto auth =
      world.keys->psk_auth(sa.algorithms.prf, query_of(sa, sa.local_id, peer_id.value_or(model::Identity{})),
                           octets_of(sa, true, ByteView(idi.rest)));
  if (!auth) {
    sa.end_reason = auth.error().message;
    world.report(sa, Severity::kError, "no-secret", auth.error().message);
    return;
  }
  wi::Payloads payloads{idi};
  if (is_first_contact(world, sa, peer_id)) payloads.emplace_back(notify(wi::NotifyType::kInitialContact));
  // RFC 7296 section 1.2: IDr says "with which of the responder's identities it wants to talk".
  if (peer_id) payloads.emplace_back(wi::make_id(false, *peer_id));
  wi::AuthPayload proof;
  proof.method = wi::AuthMethodId::kSharedKey;
  proof.data = Bytes(auth->value.begin(), auth->value.end());
  payloads.emplace_back(std::move(proof));
  const auto* child = h.wants.empty() ? nullptr : child_of(h.wants.front());
  if (child != nullptr) {
    h.child_spi = world.new_esp_spi();
    auto request = request_child(sa, h.wants.front(), *child, h.child_spi, model::ChildKeyExchange::kIgnore);
    for (auto& n : request.notifies) payloads.emplace_back(std::move(n));
    payloads.push_back(std::move(request.sa));
    payloads.push_back(std::move(request.tsi_payload));
    payloads.push_back(std::move(request.tsr_payload));
    h.offered = std::move(request.offered);
    h.tsi = std::move(request.tsi);
    h.tsr = std::move(request.tsr);
  }
  world.report(sa, Severity::kInfo, "ike-auth-sent",
               "sent IKE_AUTH request to " + sa.peer() + " as '" + sa.local_id.to_string() + "'" +
                   (child == nullptr ? "" : " for child " + child->name));
  send_request(world, sa, wi::ExchangeType::kIkeAuth, payloads);
}

Outcome on_auth_response(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  request_answered(world, sa);
  const auto& idr = *wi::find_id(*turn.payloads, false);
  const auto& auth = *wi::find_payload<wi::AuthPayload>(*turn.payloads);
  // RFC 7296 section 2.21.2: an initiator that does not believe the responder says so in an INFORMATIONAL exchange.
  const auto refuse = [&](const std::string& event, const std::string& message) {
    send_parting(world, sa, {notify(wi::NotifyType::kAuthenticationFailed)});
    return auth_failed(turn, event, message);
  };
  if (!accepts_identity(*sa.connection, idr.identity)) {
    const auto expected = expected_identity(*sa.connection);
    return refuse("identity-unexpected",
                  diagnosis::identity_unexpected(sa.peer(), idr.identity,
                                                 expected ? "'" + expected->to_string() + "'" : "anyone", sa.name()));
  }
  if (auth.method != wi::AuthMethodId::kSharedKey) {
    return refuse("auth-method-unsupported",
                  sa.peer() + " authenticates with " + wi::to_string(auth.method) +
                      "; only pre-shared keys are accepted: write authby=secret at the peer");
  }
  const auto expected = world.keys->psk_auth(sa.algorithms.prf, query_of(sa, sa.local_id, idr.identity),
                                             octets_of(sa, false, ByteView(idr.rest)));
  if (!expected) return refuse("no-secret", expected.error().message);
  if (!constant_time_equal(ByteView(expected->value), ByteView(auth.data))) {
    return refuse("auth-failed", diagnosis::keys_differ(sa.peer(), sa.local_id, idr.identity, expected->source));
  }
  sa.remote_id = idr.identity;
  establish(world, sa, expected->source);
  auto wants = std::move(sa.handshake->wants);
  sa.handshake->wants.clear();
  if (!wants.empty()) {
    finish_first_child(turn, std::move(wants.front()));
    wants.pop_front();
  }
  sa.handshake.reset();
  for (auto& want : wants) {
    Task task;
    task.about = About::kNewChild;
    task.want = std::move(want);
    sa.queue.push_back(std::move(task));
  }
  if (sa.children.empty() && sa.queue.empty()) {
    delete_ike_sa(world, sa, "it has no child", Aftermath::kForget);
    return Outcome::kStay;
  }
  world.checkpoint(sa);
  drop_redundant(world, sa);
  return sa.state == State::kEstablished ? Outcome::kNext : Outcome::kStay;
}

Outcome on_eap_wanted(Turn& turn) {
  request_answered(turn.world, *turn.sa);
  return auth_failed(
      turn, "eap-wanted",
      turn.sa->peer() + " wants EAP, which is not spoken here: give the connection a pre-shared key at the peer");
}

Outcome on_auth_refused(Turn& turn) {
  auto& sa = *turn.sa;
  const auto* error = wi::find_error_notify(*turn.payloads);
  request_answered(turn.world, sa);
  if (error->type == wi::NotifyType::kAuthenticationFailed) {
    const auto expected = expected_identity(*sa.connection);
    return auth_failed(turn, "auth-refused",
                       diagnosis::refused_by_peer(
                           sa.peer(), sa.local_id,
                           expected ? "'" + expected->to_string() + "' (rightid here, leftid there)" : "anyone"));
  }
  return auth_failed(
      turn, "ike-auth-refused",
      sa.peer() + " refused: " + diagnosis::meaning(error->type) + " (" + wi::to_string(error->type) + ")");
}

Outcome on_auth_request(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto verdict = authenticate_initiator(turn);
  if (!verdict) return refuse_initiator(turn, verdict.error().first, verdict.error().second);
  sa.connection = verdict->connection;
  sa.local_id = verdict->local_id;
  sa.remote_id = wi::find_id(*turn.payloads, true)->identity;
  const auto idr = wi::make_id(false, sa.local_id);
  const auto proof = world.keys->psk_auth(sa.algorithms.prf, query_of(sa, sa.local_id, sa.remote_id),
                                          octets_of(sa, false, ByteView(idr.rest)));
  if (!proof) return refuse_initiator(turn, "no-secret", proof.error().message);

  --world.half_open;
  world.counters.half_open = world.half_open;
  world.answered.erase({sa.spi_i, sa.handshake->peer});
  establish(world, sa, verdict->secret_source);
  if (wi::find_notify(*turn.payloads, wi::NotifyType::kInitialContact) != nullptr) forget_older(world, sa);
  wi::Payloads answer{idr};
  wi::AuthPayload auth;
  auth.method = wi::AuthMethodId::kSharedKey;
  auth.data = Bytes(proof->value.begin(), proof->value.end());
  answer.emplace_back(std::move(auth));
  answer_first_child(turn, answer);
  sa.handshake.reset();
  send_response(world, sa, wi::ExchangeType::kIkeAuth, turn.header->message_id, answer);
  drop_redundant(world, sa);
  return sa.state == State::kEstablished ? Outcome::kNext : Outcome::kStay;
}

Outcome on_eap_asked(Turn& turn) {
  const auto& idi = *wi::find_id(*turn.payloads, true);
  return refuse_initiator(
      turn, "eap-asked",
      turn.sa->peer() + " ('" + idi.identity.to_string() +
          "') wants to authenticate with EAP, which is not spoken here: set it to a pre-shared key");
}

}  // namespace cygnet::ike::v2
