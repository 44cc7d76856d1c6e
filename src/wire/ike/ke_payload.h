// SPDX-License-Identifier: Apache-2.0
#pragma once

// Key Exchange payload (RFC 7296 section 3.4).
#include "base/bytes.h"
#include "model/transform.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct KePayload {
  model::KeGroup group{};
  Bytes data;  // the public value; its length is for crypto to judge
  bool operator==(const KePayload&) const = default;
};

[[nodiscard]] ParseResult<KePayload> parse_ke(ByteView body);
void serialize(const KePayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
