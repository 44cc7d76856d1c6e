// SPDX-License-Identifier: Apache-2.0
#pragma once

// Authentication payload (RFC 7296 section 3.8).
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

enum class AuthMethodId : std::uint8_t {
  kRsaSignature = 1,
  kSharedKey = 2,
  kDssSignature = 3,
  kEcdsaP256 = 9,  // RFC 4754
  kEcdsaP384 = 10,
  kEcdsaP521 = 11,
  kNull = 13,             // RFC 7619
  kDigitalSignature = 14  // RFC 7427
};
[[nodiscard]] std::string to_string(AuthMethodId method);

struct AuthPayload {
  AuthMethodId method = AuthMethodId::kSharedKey;
  Bytes data;
  bool operator==(const AuthPayload&) const = default;
};

[[nodiscard]] ParseResult<AuthPayload> parse_auth(ByteView body);
void serialize(const AuthPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
