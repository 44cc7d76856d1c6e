// SPDX-License-Identifier: Apache-2.0
#pragma once

// A payload of a type not known here. Parsing gives one only if its critical bit is clear: RFC 7296 section 2.5 asks to
// skip those and to refuse the others. With `critical` set it can still be written, for tests of the peer.
#include "base/bytes.h"
#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

struct UnknownPayload {
  PayloadType type{};
  bool critical = false;
  Bytes body;
  bool operator==(const UnknownPayload&) const = default;
};

void serialize(const UnknownPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
