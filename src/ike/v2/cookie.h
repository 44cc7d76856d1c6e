// SPDX-License-Identifier: Apache-2.0
#pragma once

// Stateless cookies against spoofed IKE_SA_INIT requests (RFC 7296 section 2.6).
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Version | prf(secret, Ni | IPi | port | SPIi); the secret changes every minute, the one before it stays good.
[[nodiscard]] Bytes make_cookie(World& world, ByteView nonce, const Endpoint& peer, IkeSpi spi_i);
[[nodiscard]] bool cookie_is_good(World& world, ByteView cookie, ByteView nonce, const Endpoint& peer, IkeSpi spi_i);

}  // namespace cygnet::ike::v2
