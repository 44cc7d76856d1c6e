// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH as its responder:
// 1. on_auth_request        the check of the initiator's proof is ordered
// 2. on_initiator_verified  the connection is certain; our own proof is ordered, or came with the check
// 3. on_answer_proof_ready  established, first child, answer
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/authorize.h"
#include "ike/v2/beside.h"
#include "ike/v2/certificates.h"
#include "ike/v2/configuration.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/gate.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/mobike.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/proofs.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr Duration kRefusedStays = std::chrono::seconds(10);

// The peer hears AUTHENTICATION_FAILED alone; the sentence is for our log.
Outcome refuse_initiator(Turn& turn, MessageId id, const std::string& event, const std::string& message) {
  auto& sa = *turn.sa;
  ++turn.world.counters.negotiations_failed;
  // RFC 7296 section 2.21.2: the answer is protected and says AUTHENTICATION_FAILED, no more.
  send_response(turn.world, sa, wi::ExchangeType::kIkeAuth, id, {notify(wi::NotifyType::kAuthenticationFailed)});
  turn.world.report(sa, Severity::kError, event, message);
  // It stays for a moment, still among the half-open ones, so that a lost answer can be sent again.
  sa.peer_request.reset();
  sa.state = State::kInitAnswered;
  sa.end_reason = message;
  sa.give_up_at = turn.world.now + kRefusedStays;
  return Outcome::kStay;
}

// IDr, "to which of the responder's identities it wants to talk" (RFC 7296 section 1.2); null: with whichever.
const model::Identity* asked_for(const wi::Payloads& request) {
  const auto* idr = wi::find_id(request, false);
  return idr == nullptr ? nullptr : &idr->identity;
}

void choose(const World& world, IkeSa& sa, const ConnectionPtr& connection, const wi::Payloads& request) {
  sa.connection = connection;
  sa.local_id = own_identity(world, *connection, sa.path.local.address, asked_for(request));
}

// What our own proof is over, as whom the connection says we are.
Bytes own_octets(const IkeSa& sa) {
  const auto idr = wi::make_id(false, sa.local_id);
  return octets_of(sa, false, ByteView(idr.rest));
}

// The first candidate whose rules the proof satisfies; why not, for each that it does not.
bool choose_authorized(const World& world, IkeSa& sa, const auth::AuthResult& proof, std::string& reasons) {
  const auto candidates = std::move(sa.handshake->candidates);
  for (const auto& candidate : candidates) {
    // A pre-shared key was checked for one pair of identities: it speaks for no other.
    const auto own = own_identity(world, *candidate, sa.path.local.address, asked_for(sa.peer_request->payloads));
    const bool same_pair = own == sa.local_id;
    if (!proof.facts && !same_pair) continue;
    if (world.find_connection(candidate->name) != candidate) {
      reasons += "\n  " + candidate->name + ": it is no longer loaded";
      continue;
    }
    const auto may = authorize(world.credentials, *candidate, sa.remote_id, proof);
    if (may) {
      choose(world, sa, candidate, sa.peer_request->payloads);
      return true;
    }
    reasons += "\n  " + candidate->name + ": " + may.error().message;
  }
  return false;
}

// The child that rides on IKE_AUTH; its refusal does not harm the IKE SA (RFC 7296 section 1.2).
void answer_first_child(Turn& turn, const wi::Payloads& request, wi::Payloads& answer) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (wi::find_payload<wi::SaPayload>(request) == nullptr) return;
  auto refusal = assign_addresses(world, sa, request, answer);
  auto terms = refusal ? std::expected<ChildTerms, Refusal>(std::unexpected(std::move(*refusal)))
                       : choose_child(world, sa, request, model::ChildKeyExchange::kIgnore, nullptr);
  if (terms) {
    const auto keys = derive_child_keys(terms->algorithms, sa.algorithms.prf, ByteView(sa.keys.d),
                                        ByteView(sa.handshake->nonce_i), ByteView(sa.handshake->nonce_r), {});
    if (keys) {
      const Spi spi_in = world.new_esp_spi(*terms->connection);
      for (auto& payload : answer_child(*terms, spi_in)) answer.push_back(std::move(payload));
      install_child(
          world, sa, *terms, *keys,
          {.spi_in = spi_in, .standby = has_twin(world, sa, *terms) ? std::optional(kTwinPatience) : std::nullopt});
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

Outcome on_auth_request(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto id = turn.header->message_id;
  const auto& idi = *wi::find_id(*turn.payloads, true);
  const auto& auth = *wi::find_payload<wi::AuthPayload>(*turn.payloads);
  const auto shown = shown_identity(idi.identity, auth.method);
  auto candidates = by_identity(world, sa, shown, asked_for(*turn.payloads));
  if (candidates.empty()) {
    const auto named = naming(world, sa, shown, asked_for(*turn.payloads));
    if (!named.empty()) {
      return refuse_initiator(
          turn, id, "algorithms-of-others",
          "'" + shown.to_string() + "' (" + sa.peer() + ") is for connection " + named.front()->name +
              ", which does not allow " + model::to_string(sa.algorithms) +
              ", chosen in IKE_SA_INIT before anybody knew who it is: write the same ike= for all connections with "
              "this address, or let the peer offer what " +
              named.front()->name + " allows");
    }
    return refuse_initiator(turn, id, "identity-unknown",
                            diagnosis::nobody_matches(sa.peer(), idi.identity, asked_for(*turn.payloads),
                                                      by_address(world, sa.path), sa.path.local.address));
  }
  const auto nearest = candidates.front();
  std::erase_if(candidates, [&](const ConnectionPtr& c) { return !method_fits(*c, auth.method); });
  if (candidates.empty()) {
    const auto fault = method_fault(sa, *nearest, auth.method);
    return refuse_initiator(turn, id, fault.event, fault.message);
  }
  choose(world, sa, candidates.front(), *turn.payloads);
  sa.remote_id = shown;
  read_certificate_requests(*sa.handshake, *turn.payloads);
  sa.peer_request = PeerRequest{id, *turn.payloads, About::kAuth};
  order_check(world, sa, About::kPeerRequest, candidates, *turn.payloads, octets_of(sa, true, ByteView(idi.rest)),
              own_octets(sa));
  sa.handshake->candidates = std::move(candidates);
  return Outcome::kNext;
}

Outcome on_initiator_verified(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto& result = *turn.auth;
  const auto id = sa.peer_request->id;
  if (!result.ok) {
    const auto fault = proof_fault(sa, result);
    return refuse_initiator(turn, id, fault.event, fault.message);
  }
  std::string reasons;
  if (!choose_authorized(world, sa, result, reasons)) {
    return refuse_initiator(turn, id, "not-authorized",
                            "'" + sa.remote_id.to_string() + "' (" + sa.peer() +
                                ") proved who it is, and no connection allows it:" + reasons);
  }
  sa.handshake->verified_with = proof_words(result);
  if (take_answer(world, sa, About::kPeerRequest, result)) return Outcome::kNext;
  const auto ordered = order_proof(world, sa, About::kPeerRequest, sa.remote_id, own_octets(sa));
  if (!ordered) return refuse_initiator(turn, id, "no-proof", ordered.error().message);
  return Outcome::kNext;
}

Outcome on_answer_proof_ready(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!turn.auth->ok) return refuse_initiator(turn, sa.peer_request->id, "no-secret", turn.auth->error);
  const bool afresh = wi::find_notify(sa.peer_request->payloads, wi::NotifyType::kInitialContact) != nullptr;
  if (const auto fault = unique_fault(world, sa, afresh); !fault.empty())
    return refuse_initiator(turn, sa.peer_request->id, "identity-in-use", fault);
  if (const auto fault = crowd_fault(world, sa, afresh); !fault.empty()) {
    ++world.counters.identities_refused;
    return refuse_initiator(turn, sa.peer_request->id, "too-many-ike-sas", fault);
  }
  leave_half_open(world, sa);
  const auto request = std::move(*sa.peer_request);
  sa.peer_request.reset();
  establish(world, sa, sa.handshake->verified_with);
  enforce_unique(world, sa, afresh);
  wi::Payloads answer{wi::make_id(false, sa.local_id)};
  add_own_certificates(world, sa, answer);
  answer.emplace_back(wi::AuthPayload{turn.auth->method, Bytes(turn.auth->auth.begin(), turn.auth->auth.end())});
  read_mobike_support(sa, request.payloads);
  add_mobike_support(world, sa, answer);
  read_crash_token(sa, request.payloads);
  add_crash_token(world, sa, answer);
  add_auth_lifetime(sa, answer);
  answer_first_child(turn, request.payloads, answer);
  sa.handshake.reset();
  forget_proof_keys(sa);
  send_response(world, sa, wi::ExchangeType::kIkeAuth, request.id, answer);
  drop_redundant(world, sa);
  return sa.state == State::kEstablished ? Outcome::kNext : Outcome::kStay;
}

Outcome on_eap_asked(Turn& turn) {
  const auto& idi = *wi::find_id(*turn.payloads, true);
  return refuse_initiator(
      turn, turn.header->message_id, "eap-asked",
      turn.sa->peer() + " ('" + idi.identity.to_string() +
          "') wants to authenticate with EAP, which is not spoken here: set it to a pre-shared key or a certificate");
}

}  // namespace cygnet::ike::v2
