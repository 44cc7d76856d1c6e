// SPDX-License-Identifier: Apache-2.0
#pragma once

// Certificate and Certificate Request payloads, contents opaque (RFC 7296 sections 3.6 and 3.7).
#include <cstdint>

#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct CertPayload {
  std::uint8_t encoding = 0;
  Bytes data;
  bool operator==(const CertPayload&) const = default;
};
struct CertReqPayload {
  std::uint8_t encoding = 0;
  Bytes authorities;
  bool operator==(const CertReqPayload&) const = default;
};

[[nodiscard]] ParseResult<CertPayload> parse_cert(ByteView body);
[[nodiscard]] ParseResult<CertReqPayload> parse_cert_req(ByteView body);
void serialize(const CertPayload& payload, ByteWriter& out);
void serialize(const CertReqPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
