// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/cert_payload.h"

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Cert Encoding |                                               |
// +-+-+-+-+-+-+-+-+                                               |
// ~          Certificate Data or Certification Authority          ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<CertPayload> parse_cert(ByteView body) {
  if (body.empty()) return malformed(static_cast<std::uint8_t>(PayloadType::kCert), "CERT payload without an encoding");
  return CertPayload{body[0], Bytes(body.begin() + 1, body.end())};
}

ParseResult<CertReqPayload> parse_cert_req(ByteView body) {
  if (body.empty())
    return malformed(static_cast<std::uint8_t>(PayloadType::kCertReq), "CERTREQ payload without an encoding");
  return CertReqPayload{body[0], Bytes(body.begin() + 1, body.end())};
}

void serialize(const CertPayload& payload, ByteWriter& out) { out.u8(payload.encoding).bytes(payload.data); }
void serialize(const CertReqPayload& payload, ByteWriter& out) { out.u8(payload.encoding).bytes(payload.authorities); }

}  // namespace cygnet::wire::ike
