// SPDX-License-Identifier: Apache-2.0
#pragma once

// Stateless cookies against spoofed IKE_SA_INIT requests (RFC 7296 section 2.6).
#include <optional>

#include "ike/v2/world.h"
#include "wire/ike/puzzle_payload.h"

namespace cygnet::ike::v2 {

// Version | difficulty | number of the PRF | prf(secret, Ni | IPi | port | SPIi | difficulty, PRF); the secret changes
// every minute, the one before it stays good. `puzzle` is what was asked for along with it (RFC 8019 section 7.1.1.3:
// the responder keeps no state for it); difficulty 0: nothing.
[[nodiscard]] Bytes make_cookie(World& world, ByteView nonce, const Endpoint& peer, IkeSpi spi_i,
                                const wire::ike::PuzzleDemand& puzzle);
// The puzzle that came with this cookie; nothing: it is not one of ours, or not this peer's.
[[nodiscard]] std::optional<wire::ike::PuzzleDemand> read_cookie(World& world, ByteView cookie, ByteView nonce,
                                                                 const Endpoint& peer, IkeSpi spi_i);

}  // namespace cygnet::ike::v2
