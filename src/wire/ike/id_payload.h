// SPDX-License-Identifier: Apache-2.0
#pragma once

// Identification payloads, IDi and IDr (RFC 7296 section 3.5).
#include "base/bytes.h"
#include "model/identity.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct IdPayload {
  bool initiator = false;  // IDi, else IDr
  model::Identity identity;
  // The payload without its generic header, ID Type with RESERVED included: what RFC 7296 section 2.15 calls
  // RestOfInitIDPayload and RestOfRespIDPayload. As received, so that AUTH covers what the peer really sent.
  Bytes rest;
  bool operator==(const IdPayload&) const = default;
};

// Builds one with `rest` filled in.
[[nodiscard]] IdPayload make_id(bool initiator, const model::Identity& identity);
[[nodiscard]] ParseResult<IdPayload> parse_id(bool initiator, ByteView body);
// Writes `rest` if there is one, else encodes identity.
void serialize(const IdPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
