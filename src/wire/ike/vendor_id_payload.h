// SPDX-License-Identifier: Apache-2.0
#pragma once

// Vendor ID payload (RFC 7296 section 3.12).
#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct VendorIdPayload {
  Bytes data;
  bool operator==(const VendorIdPayload&) const = default;
};

[[nodiscard]] ParseResult<VendorIdPayload> parse_vendor_id(ByteView body);
void serialize(const VendorIdPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
