// SPDX-License-Identifier: Apache-2.0
#pragma once

// Curve25519 (RFC 7748, RFC 8031) for key_exchange: OpenSSL's multiplication with as little as possible around it.
#include "crypto/key_exchange.h"

namespace cygnet::crypto::x25519 {

inline constexpr std::size_t kOctets = 32;  // of scalars, public values and shared secrets

[[nodiscard]] KeyPair generate(Random& random);
// Both values have kOctets. Refuses an all-zero result.
[[nodiscard]] Result<SecretBytes> derive(const KeyPair& own, ByteView peer_public);
// generate() and derive() with what they share done once.
[[nodiscard]] Result<Agreement> agree(Random& random, ByteView peer_public);

}  // namespace cygnet::crypto::x25519
