// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/id_payload.h"

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |   ID Type     |                 RESERVED                      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                   Identification Data                         ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<IdPayload> parse_id(bool initiator, ByteView body) {
  const auto type = static_cast<std::uint8_t>(initiator ? PayloadType::kIdi : PayloadType::kIdr);
  ByteReader in(body);
  IdPayload payload;
  payload.initiator = initiator;
  payload.identity.type = static_cast<model::IdType>(in.u8());
  in.skip(3);
  if (!in.ok()) return malformed(type, "identification payload is too short for an ID type");
  const ByteView data = in.rest();
  // RFC 7296 section 3.5: ID_IPV4_ADDR is "a single four (4) octet IPv4 address", ID_IPV6_ADDR a sixteen octet one.
  if ((payload.identity.type == model::IdType::kIpv4Addr && data.size() != 4) ||
      (payload.identity.type == model::IdType::kIpv6Addr && data.size() != 16)) {
    return malformed(type, "identification payload: an address of " + std::to_string(data.size()) + " octets");
  }
  payload.identity.data.assign(data.begin(), data.end());
  payload.rest.assign(body.begin(), body.end());
  return payload;
}

void serialize(const IdPayload& payload, ByteWriter& out) {
  if (!payload.rest.empty()) {
    out.bytes(payload.rest);
    return;
  }
  out.u8(static_cast<std::uint8_t>(payload.identity.type)).zeros(3).bytes(payload.identity.data);
}

IdPayload make_id(bool initiator, const model::Identity& identity) {
  IdPayload payload{initiator, identity, {}};
  ByteWriter out;
  serialize(payload, out);
  payload.rest = std::move(out).take();
  return payload;
}

}  // namespace cygnet::wire::ike
