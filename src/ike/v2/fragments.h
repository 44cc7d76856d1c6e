// SPDX-License-Identifier: Apache-2.0
#pragma once

// IKE fragmentation (RFC 7383): when we speak it, how large our pieces are, and the peer's pieces put together.
#include <optional>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Do we offer it, or take the offer, on this connection?
[[nodiscard]] bool speaks_fragmentation(const model::Connection& connection);
// Reads the peer's IKE_SA_INIT message.
void read_fragmentation(const World& world, IkeSa& sa, const wire::ike::Payloads& payloads);

// Octets of the largest IKE message that goes out in one piece. `smallest`: what was sent before may have been too
// large.
[[nodiscard]] std::size_t fragment_limit(const IkeSa& sa, bool smallest);

// A piece came: the inner payloads, if it was the last one missing; nothing, if more are to come or it is not
// acceptable. An error: authentic, but not to be understood.
[[nodiscard]] std::optional<wire::ike::ParseResult<wire::ike::Payloads>> take_fragment(World& world, IkeSa& sa,
                                                                                       ByteView datagram,
                                                                                       const wire::ike::Message& outer);
// A sound piece of the peer's: how large it makes them.
void note_peer_fragment(IkeSa& sa, const wire::ike::EncryptedFragmentPayload& piece, std::size_t octets);
// Forgets the pieces of a message that came whole after all.
void drop_fragments_of(World& world, IkeSa& sa, const wire::ike::Header& header);
// Forgets all pieces: nobody waits for them any more.
void drop_fragments(World& world, IkeSa& sa);
// When the first of the waiting pieces have waited too long, and forgetting those.
[[nodiscard]] Instant fragments_due(const IkeSa& sa);
void drop_stale_fragments(World& world, IkeSa& sa);

}  // namespace cygnet::ike::v2
