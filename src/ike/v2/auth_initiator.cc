// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH as its initiator:
// 1. begin_auth           the shared secret is there: our proof is ordered
// 2. on_proof_ready       the request leaves
// 3. on_auth_response     the answer came: the check of the responder's proof is ordered
// 4. on_responder_verified  established, first child
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/authorize.h"
#include "ike/v2/beside.h"
#include "ike/v2/certificates.h"
#include "ike/v2/configuration.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/mobike.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/proofs.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// For whoever performs jobs: long enough to ask for revocation, short enough for a person who waits.
constexpr Duration kJobPatience = std::chrono::seconds(30);

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

// RFC 7296 section 2.21.2: an initiator that does not believe the responder says so in an INFORMATIONAL exchange.
Outcome refuse_responder(Turn& turn, const std::string& event, const std::string& message) {
  send_parting(turn.world, *turn.sa, {notify(wi::NotifyType::kAuthenticationFailed)});
  return auth_failed(turn, event, message);
}

// We do not want the first child; if the peer believes that it has it, it is told.
void disown_first_child(World& world, IkeSa& sa, bool peer_has_it) {
  auto& h = *sa.handshake;
  world.esp_spis.erase(h.child_spi);
  if (peer_has_it) {
    Task undo;
    undo.about = About::kDeleteChild;
    undo.orphan_spi = h.child_spi;
    undo.orphan_is_ah = !h.offered.empty() && h.offered.front().protocol == model::Protocol::kAh;
    sa.queue.push_back(std::move(undo));
  }
  h.child_spi = Spi();
}

// The first child, as the responder's IKE_AUTH answers it.
void finish_first_child(Turn& turn, ChildWant want) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  const auto* error = wi::find_error_notify(h.answer);
  const bool refused = error != nullptr && wi::find_payload<wi::SaPayload>(h.answer) == nullptr;
  if (want.given_up) return disown_first_child(world, sa, !refused);
  const auto no_address = refused ? std::nullopt : take_addresses(world, sa, h.answer);
  auto terms =
      refused
          ? std::expected<ChildTerms, Refusal>(std::unexpected(explain_refusal(sa, *error, h.offered, h.tsi, h.tsr)))
      : no_address ? std::expected<ChildTerms, Refusal>(std::unexpected(*no_address))
                   : read_answer(world, sa, want.connection, want.child, h.offered, h.tsi, h.tsr,
                                 model::ChildKeyExchange::kIgnore, h.answer);
  if (terms) {
    const auto keys = derive_child_keys(terms->algorithms, sa.algorithms.prf, ByteView(sa.keys.d), ByteView(h.nonce_i),
                                        ByteView(h.nonce_r), {});
    if (keys) {
      const auto& child = install_child(world, sa, *terms, *keys, {.spi_in = h.child_spi, .we_initiated = true});
      h.child_spi = Spi();
      return want_succeeded(world, want, "child " + want.child + " up: " + child_words(child));
    }
    terms = std::unexpected(Refusal{{}, {}, "key-derivation-failed", keys.error().message});
  }
  world.report(sa, Severity::kError, terms.error().event, terms.error().message);
  disown_first_child(world, sa, !refused);
  want_failed(world, std::move(want), terms.error().message);
}

// RFC 6023: the IKE SA alone; its children follow in exchanges of their own.
bool begins_childless(const IkeSa& sa) {
  const auto wish = sa.connection->childless;
  return sa.handshake->childless && (wish == model::Childless::kPrefer || wish == model::Childless::kForce);
}

// The child of the first want: SA, TSi, TSr and what belongs to them.
const model::Child* add_first_child(World& world, IkeSa& sa, wi::Payloads& payloads) {
  auto& h = *sa.handshake;
  const auto* child = h.wants.empty() || begins_childless(sa) ? nullptr : child_of(h.wants.front());
  if (child != nullptr) {
    h.child_spi = world.new_esp_spi(*h.wants.front().connection);
    auto request = request_child(world, sa, h.wants.front(), *child, h.child_spi, model::ChildKeyExchange::kIgnore);
    if (auto wishes = ask_for_addresses(world, sa)) payloads.emplace_back(std::move(*wishes));
    for (auto& n : request.notifies) payloads.emplace_back(std::move(n));
    payloads.push_back(std::move(request.sa));
    payloads.push_back(std::move(request.tsi_payload));
    payloads.push_back(std::move(request.tsr_payload));
    h.offered = std::move(request.offered);
    h.tsi = std::move(request.tsi);
    h.tsr = std::move(request.tsr);
  }
  return child;
}

// The children that were wanted meanwhile.
void queue_wants(IkeSa& sa, std::vector<ChildWant> wants) {
  for (auto& want : wants) {
    Task task;
    task.about = About::kNewChild;
    task.want = std::move(want);
    sa.queue.push_back(std::move(task));
  }
}

}  // namespace

std::string begin_auth(World& world, IkeSa& sa) {
  sa.local_id = own_identity(*sa.connection, sa.path.local.address);
  sa.give_up_at = world.now + kJobPatience;
  const auto peer_id = expected_identity(*sa.connection).value_or(model::Identity{});
  const auto idi = wi::make_id(true, sa.local_id);
  const auto ordered = order_proof(world, sa, About::kAuth, peer_id, octets_of(sa, true, ByteView(idi.rest)));
  return ordered ? std::string() : ordered.error().message;
}

Outcome on_proof_ready(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!turn.auth->ok) return auth_failed(turn, "no-secret", turn.auth->error);
  sa.give_up_at = kNever;
  auto peer_id = expected_identity(*sa.connection);
  // A rule for many is nobody's name, and who proves nothing has none.
  if (peer_id && (peer_id->is_pattern() || peer_id->type == model::IdType::kNull)) peer_id.reset();
  wi::Payloads payloads{wi::make_id(true, sa.local_id)};
  add_own_certificates(world, sa, payloads);
  ask_for_certificate(world, {sa.connection}, kAuthoritiesInAuth, payloads);
  if (is_first_contact(world, sa, peer_id)) payloads.emplace_back(notify(wi::NotifyType::kInitialContact));
  // RFC 7296 section 1.2: IDr says "to which of the responder's identities it wants to talk".
  if (peer_id) payloads.emplace_back(wi::make_id(false, *peer_id));
  payloads.emplace_back(wi::AuthPayload{turn.auth->method, Bytes(turn.auth->auth.begin(), turn.auth->auth.end())});
  add_mobike_support(world, sa, payloads);
  add_crash_token(world, sa, payloads);
  const auto* child = add_first_child(world, sa, payloads);
  world.report(sa, Severity::kInfo, "ike-auth-sent",
               "sent IKE_AUTH request to " + sa.peer() + " as '" + sa.local_id.to_string() + "'" +
                   (child == nullptr ? "" : " for child " + child->name));
  // Traffic is on its way already: the peer may move it here as soon as it has answered.
  if (!sa.stands_in_for.is_zero() && !sa.handshake->child_spi.is_zero()) world.act(ExpectSpi{sa.handshake->child_spi});
  send_request(world, sa, wi::ExchangeType::kIkeAuth, payloads);
  return sa.outstanding ? Outcome::kNext : auth_failed(turn, "seal-failed", "cannot protect the IKE_AUTH request");
}

Outcome on_auth_response(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  request_answered(world, sa);
  const auto& idr = *wi::find_id(*turn.payloads, false);
  const auto& auth = *wi::find_payload<wi::AuthPayload>(*turn.payloads);
  if (!accepts_identity(*sa.connection, shown_identity(idr.identity, auth.method))) {
    const auto expected = expected_identity(*sa.connection);
    return refuse_responder(
        turn, "identity-unexpected",
        diagnosis::identity_unexpected(sa.peer(), idr.identity, expected ? "'" + expected->to_string() + "'" : "anyone",
                                       sa.name()));
  }
  if (!method_fits(*sa.connection, auth.method)) {
    const auto fault = method_fault(sa, *sa.connection, auth.method);
    return refuse_responder(turn, fault.event, fault.message);
  }
  sa.remote_id = shown_identity(idr.identity, auth.method);
  sa.handshake->answer = *turn.payloads;
  sa.give_up_at = world.now + kJobPatience;
  order_check(world, sa, About::kAuth, {sa.connection}, *turn.payloads, octets_of(sa, false, ByteView(idr.rest)));
  return Outcome::kNext;
}

Outcome on_responder_verified(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto& result = *turn.auth;
  if (!result.ok) {
    const auto fault = proof_fault(sa, result);
    return refuse_responder(turn, fault.event, fault.message);
  }
  if (const auto may = authorize(world.credentials, *sa.connection, sa.remote_id, result); !may) {
    return refuse_responder(turn, "not-authorized",
                            "'" + sa.remote_id.to_string() + "' (" + sa.peer() + ") is not what connection " +
                                sa.name() + " allows: " + may.error().message);
  }
  establish(world, sa, proof_words(result));
  read_mobike_support(sa, sa.handshake->answer);
  read_crash_token(sa, sa.handshake->answer);
  read_auth_lifetime(world, sa, sa.handshake->answer);
  auto wants = std::move(sa.handshake->wants);
  sa.handshake->wants.clear();
  if (!wants.empty() && !begins_childless(sa)) {
    finish_first_child(turn, std::move(wants.front()));
    wants.erase(wants.begin());
  }
  sa.handshake.reset();
  forget_proof_keys(sa);
  queue_wants(sa, std::move(wants));
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
      turn.sa->peer() +
          " wants EAP, which is not spoken here: give the connection a pre-shared key or a certificate at the peer");
}

Outcome on_auth_refused(Turn& turn) {
  auto& sa = *turn.sa;
  const auto* error = wi::find_error_notify(*turn.payloads);
  request_answered(turn.world, sa);
  if (error->type == wi::NotifyType::kAuthenticationFailed) {
    const auto expected = expected_identity(*sa.connection);
    return auth_failed(turn, "auth-refused",
                       diagnosis::refused_by_peer(
                           sa.peer(), what_to_compare(turn.world.credentials, *sa.connection), sa.local_id,
                           expected ? "'" + expected->to_string() + "' (rightid here, leftid there)" : "anyone"));
  }
  return auth_failed(turn, "ike-auth-refused",
                     sa.peer() + " refused: " + diagnosis::meaning(*error) + " (" + wi::to_string(error->type) + ")");
}

}  // namespace cygnet::ike::v2
