// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/ke_payload.h"

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |   Diffie-Hellman Group Num    |           RESERVED            |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       Key Exchange Data                       ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<KePayload> parse_ke(ByteView body) {
  ByteReader in(body);
  KePayload payload;
  payload.group = static_cast<model::KeGroup>(in.u16());
  in.skip(2);
  if (!in.ok())
    return malformed(static_cast<std::uint8_t>(PayloadType::kKe), "KE payload is too short for a group number");
  const ByteView data = in.rest();
  payload.data.assign(data.begin(), data.end());
  return payload;
}

void serialize(const KePayload& payload, ByteWriter& out) {
  out.u16(static_cast<std::uint16_t>(payload.group)).u16(0).bytes(payload.data);
}

}  // namespace cygnet::wire::ike
