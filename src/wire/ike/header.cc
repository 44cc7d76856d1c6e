// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/header.h"

namespace cygnet::wire::ike {
namespace {

constexpr std::uint8_t kFlagInitiator = 0x08;
constexpr std::uint8_t kFlagVersion = 0x10;
constexpr std::uint8_t kFlagResponse = 0x20;

}  // namespace

std::string to_string(ExchangeType type) {
  switch (type) {
    case ExchangeType::kIkeSaInit: return "IKE_SA_INIT";
    case ExchangeType::kIkeAuth: return "IKE_AUTH";
    case ExchangeType::kCreateChildSa: return "CREATE_CHILD_SA";
    case ExchangeType::kInformational: return "INFORMATIONAL";
    case ExchangeType::kIkeSessionResume: return "IKE_SESSION_RESUME";
    case ExchangeType::kIkeIntermediate: return "IKE_INTERMEDIATE";
  }
  return "exchange " + std::to_string(static_cast<unsigned>(type));
}

ParseResult<Header> parse_header(ByteView datagram) {
  ByteReader in(datagram);
  Header header;
  header.spi_i = IkeSpi{in.u64()};
  header.spi_r = IkeSpi{in.u64()};
  header.next_payload = static_cast<PayloadType>(in.u8());
  const std::uint8_t version = in.u8();
  header.major_version = version >> 4;
  header.minor_version = version & 0x0fU;
  header.exchange = static_cast<ExchangeType>(in.u8());
  // RFC 7296 section 3.1: the X(reserved) flag bits "MUST be cleared when sending and MUST be ignored on receipt".
  const std::uint8_t flags = in.u8();
  header.initiator = (flags & kFlagInitiator) != 0;
  header.higher_version = (flags & kFlagVersion) != 0;
  header.response = (flags & kFlagResponse) != 0;
  header.message_id = MessageId{in.u32()};
  header.length = in.u32();
  if (!in.ok()) {
    return malformed(0, "datagram of " + std::to_string(datagram.size()) + " octets is too short for an IKE header");
  }
  return header;
}

void serialize_header(const Header& header, ByteWriter& out) {
  std::uint8_t flags = 0;
  if (header.initiator) flags |= kFlagInitiator;
  if (header.higher_version) flags |= kFlagVersion;
  if (header.response) flags |= kFlagResponse;
  out.u64(header.spi_i.value)
      .u64(header.spi_r.value)
      .u8(static_cast<std::uint8_t>(header.next_payload))
      .u8(static_cast<std::uint8_t>((header.major_version << 4) | (header.minor_version & 0x0fU)))
      .u8(static_cast<std::uint8_t>(header.exchange))
      .u8(flags)
      .u32(header.message_id.value)
      .u32(header.length);
}

}  // namespace cygnet::wire::ike
