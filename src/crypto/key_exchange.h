// SPDX-License-Identifier: Apache-2.0
#pragma once

// Diffie-Hellman groups (RFC 3526, RFC 5903, RFC 8031). Pure: the private value comes through Random, so runs replay.
#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "model/transform.h"

namespace cygnet::crypto {

struct KeyPair {
  model::KeGroup group{};
  SecretBytes private_key;  // scalar or exponent, in the group's own encoding
  Bytes public_value;       // as it stands in a KE payload
};

[[nodiscard]] Result<KeyPair> generate_key_pair(model::KeGroup group, Random& random);
// Shared secret as RFC 7296 section 2.14 uses it (g^ir, MODP padded to the modulus; ECP: x coordinate, RFC 5903 section
// 7). Refuses values of wrong length, points off the curve, 0, 1, p-1 (RFC 6989) and an all-zero x25519 result (RFC
// 8031 section 2).
[[nodiscard]] Result<SecretBytes> derive_shared_secret(const KeyPair& own, ByteView peer_public);
// Both at once, for whoever knows the peer's value already: with x25519 a few microseconds less.
struct Agreement {
  KeyPair own;
  SecretBytes shared_secret;
};
[[nodiscard]] Result<Agreement> agree(model::KeGroup group, Random& random, ByteView peer_public);
[[nodiscard]] std::size_t public_octets(model::KeGroup group);  // 0: unknown group

}  // namespace cygnet::crypto
