// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/configuration_payload.h"

#include <string>

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |   CFG Type    |                    RESERVED                   |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |R|         Attribute Type      |            Length             |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                             Value                             ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<ConfigurationPayload> parse_configuration(ByteView body) {
  constexpr auto kType = static_cast<std::uint8_t>(PayloadType::kConfiguration);
  ByteReader in(body);
  ConfigurationPayload payload;
  payload.type = static_cast<ConfigurationType>(in.u8());
  in.skip(3);
  while (in.ok() && in.remaining() > 0) {
    if (payload.attributes.size() == kMaxConfigurationAttributes) {
      return malformed(
          kType, "Configuration payload with more than " + std::to_string(kMaxConfigurationAttributes) + " attributes");
    }
    // RFC 7296 section 3.15.1: the R bit "MUST be set to zero and MUST be ignored on receipt".
    const std::uint16_t type = in.u16() & 0x7fffU;
    const ByteView value = in.take(in.u16());
    payload.attributes.push_back({type, Bytes(value.begin(), value.end())});
  }
  if (!in.ok()) return malformed(kType, "Configuration payload: an attribute runs past the payload");
  return payload;
}

void serialize(const ConfigurationPayload& payload, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(payload.type)).zeros(3);
  for (const auto& attribute : payload.attributes) {
    out.u16(attribute.type & 0x7fffU).u16(static_cast<std::uint16_t>(attribute.value.size())).bytes(attribute.value);
  }
}

}  // namespace cygnet::wire::ike
