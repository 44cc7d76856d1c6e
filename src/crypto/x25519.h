// SPDX-License-Identifier: Apache-2.0
#pragma once

// Curve25519 (RFC 7748, RFC 8031) for key_exchange: libsodium's multiplication of the base point, OpenSSL's of others,
// as each is the faster one, with as little as possible around them.
#include "crypto/key_exchange.h"

namespace cygnet::crypto::x25519 {

inline constexpr std::size_t kOctets = 32;  // of scalars, public values and shared secrets

[[nodiscard]] KeyPair generate(Random& random);
// Both values have kOctets. Refuses an all-zero result.
[[nodiscard]] Result<SecretBytes> derive(const KeyPair& own, ByteView peer_public);
// generate() and derive(), in the order that costs least where the peer's value is refused.
[[nodiscard]] Result<Agreement> agree(Random& random, ByteView peer_public);

}  // namespace cygnet::crypto::x25519
