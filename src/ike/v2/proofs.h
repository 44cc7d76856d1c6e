// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the ends of an IKE SA prove who they are: by secret or by signature, each end its own way (RFC 7296 section 2.15,
// RFC 7427, RFC 7670).
#include <string>
#include <vector>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Does what the peer shows answer what the connection asks for?
[[nodiscard]] bool method_fits(const model::Connection& connection, wire::ike::AuthMethodId shown);

// SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4): what we verify. Said only where a signature of the peer is wanted.
[[nodiscard]] wire::ike::NotifyPayload signature_hash_algorithms();
// What the peer verifies.
void read_peer_wishes(Handshake& handshake, const wire::ike::Payloads& payloads);

// Orders our own proof over `octets`, as the SA's connection wants it; the error says why there can be none.
[[nodiscard]] Result<void> order_proof(World& world, IkeSa& sa, About about, const model::Identity& peer, Bytes octets);
// Orders the check of the peer's proof. All candidates want the same kind of proof. With `answer`, the octets of our
// own proof, that is ordered along where one key serves for both (RFC 7296 section 2.15); take_answer() has it then.
void order_check(World& world, IkeSa& sa, About about, const std::vector<ConnectionPtr>& candidates,
                 const wire::ike::Payloads& payloads, Bytes octets, Bytes answer = {});
// Our own proof if the check brought it along: nothing has to be ordered any more.
[[nodiscard]] bool take_answer(World& world, IkeSa& sa, About about, const auth::AuthResult& checked);

// Event and sentence.
struct ProofFault {
  std::string event;
  std::string message;
};
// The peer shows something else than the connection asks for.
[[nodiscard]] ProofFault method_fault(const IkeSa& sa, const model::Connection& connection,
                                      wire::ike::AuthMethodId shown);
// The check failed.
[[nodiscard]] ProofFault proof_fault(const IkeSa& sa, const auth::AuthResult& result);

}  // namespace cygnet::ike::v2
