// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/delete_payload.h"

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Protocol ID   |   SPI Size    |          Num of SPIs          |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~               Security Parameter Index(es) (SPI)              ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<DeletePayload> parse_delete(ByteView body) {
  constexpr auto kType = static_cast<std::uint8_t>(PayloadType::kDelete);
  ByteReader in(body);
  DeletePayload payload;
  payload.protocol = static_cast<model::Protocol>(in.u8());
  const std::uint8_t spi_octets = in.u8();
  const std::uint16_t count = in.u16();
  if (!in.ok()) return malformed(kType, "Delete payload is too short");
  const bool ike = payload.protocol == model::Protocol::kIke;
  if (!ike && payload.protocol != model::Protocol::kAh && payload.protocol != model::Protocol::kEsp) {
    return malformed(kType, "Delete payload for protocol " + std::to_string(static_cast<unsigned>(payload.protocol)));
  }
  // RFC 7296 section 3.11: SPI Size "MUST be zero for IKE (SPI is in message header) or four for AH and ESP".
  if (spi_octets != (ike ? 0 : 4))
    return malformed(kType, "Delete payload: SPIs of " + std::to_string(spi_octets) + " octets");
  if (in.remaining() != std::size_t{spi_octets} * count) {
    return malformed(kType, "Delete payload: the number of SPIs contradicts the payload's length");
  }
  if (!ike) {
    payload.spis.reserve(count);
    for (unsigned i = 0; i < count; ++i) payload.spis.emplace_back(in.u32());
  }
  return payload;
}

void serialize(const DeletePayload& payload, ByteWriter& out) {
  const bool ike = payload.protocol == model::Protocol::kIke;
  out.u8(static_cast<std::uint8_t>(payload.protocol))
      .u8(ike ? 0 : 4)
      .u16(ike ? std::uint16_t{0} : static_cast<std::uint16_t>(payload.spis.size()));
  if (ike) return;
  for (const Spi spi : payload.spis) out.u32(spi.value);
}

}  // namespace cygnet::wire::ike
