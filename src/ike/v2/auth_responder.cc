// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH as its responder:
// 1. on_auth_request        the check of the initiator's proof is ordered
// 2. on_initiator_verified  the connection is certain; our own proof is ordered
// 3. on_answer_proof_ready  established, first child, answer
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/mobike.h"
#include "ike/v2/negotiate.h"
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

// The child that rides on IKE_AUTH; its refusal does not harm the IKE SA (RFC 7296 section 1.2).
void answer_first_child(Turn& turn, const wi::Payloads& request, wi::Payloads& answer) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (wi::find_payload<wi::SaPayload>(request) == nullptr) return;
  auto terms = choose_child(world, sa, request, model::ChildKeyExchange::kIgnore, nullptr);
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

Outcome on_auth_request(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto id = turn.header->message_id;
  const auto& idi = *wi::find_id(*turn.payloads, true);
  const auto* idr = wi::find_id(*turn.payloads, false);
  const auto& auth = *wi::find_payload<wi::AuthPayload>(*turn.payloads);
  const auto* asked_for = idr == nullptr ? nullptr : &idr->identity;
  const auto candidates = by_identity(world, sa, idi.identity, asked_for);
  if (candidates.empty()) {
    return refuse_initiator(turn, id, "identity-unknown",
                            diagnosis::nobody_matches(sa.peer(), idi.identity, asked_for, by_address(world, sa.path),
                                                      sa.path.local.address));
  }
  if (auth.method != wi::AuthMethodId::kSharedKey) {
    return refuse_initiator(turn, id, "auth-method-unsupported",
                            sa.peer() + " authenticates with " + wi::to_string(auth.method) + ", but connection " +
                                candidates.front()->name + " wants a pre-shared key: write authby=secret at the peer");
  }
  sa.connection = candidates.front();
  sa.local_id = own_identity(*sa.connection, sa.path.local.address);
  sa.remote_id = idi.identity;
  sa.peer_request = PeerRequest{id, *turn.payloads, About::kAuth};
  world.order_auth(sa, About::kPeerRequest,
                   auth::PskVerify{sa.algorithms.prf, query_of(sa, sa.local_id, sa.remote_id),
                                   octets_of(sa, true, ByteView(idi.rest)), auth.data});
  return Outcome::kNext;
}

Outcome on_initiator_verified(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto& result = *turn.auth;
  const auto id = sa.peer_request->id;
  if (!result.ok && result.source.empty()) return refuse_initiator(turn, id, "no-secret", result.error);
  if (!result.ok) {
    return refuse_initiator(turn, id, "auth-failed",
                            diagnosis::keys_differ(sa.peer(), sa.local_id, sa.remote_id, result.source));
  }
  sa.handshake->verified_with = "pre-shared key (" + result.source + ")";
  const auto idr = wi::make_id(false, sa.local_id);
  world.order_auth(sa, About::kPeerRequest,
                   auth::PskProve{sa.algorithms.prf, query_of(sa, sa.local_id, sa.remote_id),
                                  octets_of(sa, false, ByteView(idr.rest))});
  return Outcome::kNext;
}

Outcome on_answer_proof_ready(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!turn.auth->ok) return refuse_initiator(turn, sa.peer_request->id, "no-secret", turn.auth->error);
  --world.half_open;
  world.counters.half_open = world.half_open;
  world.answered.erase({sa.spi_i, sa.handshake->peer});
  const auto request = std::move(*sa.peer_request);
  sa.peer_request.reset();
  establish(world, sa, sa.handshake->verified_with);
  if (wi::find_notify(request.payloads, wi::NotifyType::kInitialContact) != nullptr) forget_older(world, sa);
  wi::Payloads answer{wi::make_id(false, sa.local_id)};
  answer.emplace_back(wi::AuthPayload{turn.auth->method, Bytes(turn.auth->auth.begin(), turn.auth->auth.end())});
  read_mobike_support(sa, request.payloads);
  add_mobike_support(world, sa, answer);
  answer_first_child(turn, request.payloads, answer);
  sa.handshake.reset();
  send_response(world, sa, wi::ExchangeType::kIkeAuth, request.id, answer);
  drop_redundant(world, sa);
  return sa.state == State::kEstablished ? Outcome::kNext : Outcome::kStay;
}

Outcome on_eap_asked(Turn& turn) {
  const auto& idi = *wi::find_id(*turn.payloads, true);
  return refuse_initiator(
      turn, turn.header->message_id, "eap-asked",
      turn.sa->peer() + " ('" + idi.identity.to_string() +
          "') wants to authenticate with EAP, which is not spoken here: set it to a pre-shared key");
}

}  // namespace cygnet::ike::v2
