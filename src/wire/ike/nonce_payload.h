// SPDX-License-Identifier: Apache-2.0
#pragma once

// Nonce payload (RFC 7296 section 3.9).
#include <cstddef>

#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

inline constexpr std::size_t kMinNonceOctets = 16;
inline constexpr std::size_t kMaxNonceOctets = 256;

struct NoncePayload {
  Bytes data;
  bool operator==(const NoncePayload&) const = default;
};

[[nodiscard]] ParseResult<NoncePayload> parse_nonce(ByteView body);
void serialize(const NoncePayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
