// SPDX-License-Identifier: Apache-2.0
#pragma once

// EAP payload, contents opaque (RFC 7296 section 3.16).
#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct EapPayload {
  Bytes message;
  bool operator==(const EapPayload&) const = default;
};

[[nodiscard]] ParseResult<EapPayload> parse_eap(ByteView body);
void serialize(const EapPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
