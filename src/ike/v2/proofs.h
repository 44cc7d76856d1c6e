// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the ends of an IKE SA prove who they are: by secret or by signature, each end its own way (RFC 7296 section 2.15,
// RFC 7427, RFC 7670).
#include <string>
#include <vector>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

using AuthWork = decltype(auth::AuthJob::what);

// Does what the peer shows answer what the connection asks for?
[[nodiscard]] bool method_fits(const model::Connection& connection, wire::ike::AuthMethodId shown);

// SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4): what we verify. Said only where a signature of the peer is wanted.
[[nodiscard]] wire::ike::NotifyPayload signature_hash_algorithms();
// What the peer verifies.
void read_peer_wishes(Handshake& handshake, const wire::ike::Payloads& payloads);

// Our own proof over `octets` for this connection.
[[nodiscard]] Result<AuthWork> own_proof(const World& world, const IkeSa& sa, const model::Connection& connection,
                                         const model::Identity& peer, Bytes octets);
// The check of the peer's proof. All candidates want the same kind of proof.
[[nodiscard]] AuthWork peer_check(World& world, const IkeSa& sa, const std::vector<ConnectionPtr>& candidates,
                                  const wire::ike::Payloads& payloads, Bytes octets);

// The check failed: event and sentence.
struct ProofFault {
  std::string event;
  std::string message;
};
[[nodiscard]] ProofFault proof_fault(const IkeSa& sa, const auth::AuthResult& result);

}  // namespace cygnet::ike::v2
