// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/ts_payload.h"

#include <string>

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {
namespace {

constexpr std::uint8_t kIpv4AddrRange = 7;
constexpr std::uint8_t kIpv6AddrRange = 8;
constexpr std::size_t kSelectorHeaderOctets = 4;

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |   TS Type     |IP Protocol ID |       Selector Length         |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |           Start Port          |           End Port            |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                         Starting Address                      ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                         Ending Address                        ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// (section 3.13.1)
ParseResult<void> parse_selector(std::uint8_t payload_type, std::uint8_t ts_type, std::uint8_t protocol, ByteView body,
                                 TsPayload& payload) {
  if (ts_type != kIpv4AddrRange && ts_type != kIpv6AddrRange) {
    payload.unknown.push_back({ts_type, protocol, Bytes(body.begin(), body.end())});
    return {};
  }
  const std::size_t address_octets = ts_type == kIpv4AddrRange ? 4 : 16;
  if (body.size() != 4 + 2 * address_octets) {
    return malformed(payload_type, "traffic selector of the wrong length for its type");
  }
  ByteReader in(body);
  model::TrafficSelector selector;
  selector.protocol = protocol;
  selector.port_first = in.u16();
  selector.port_last = in.u16();
  selector.range.first = IpAddress::from_bytes(in.take(address_octets));
  selector.range.last = IpAddress::from_bytes(in.take(address_octets));
  if (selector.range.last < selector.range.first) {
    return malformed(payload_type, "traffic selector whose addresses run backwards");
  }
  // RFC 7296 section 3.13.1: OPAQUE ports are start 65535, end 0; no other pair may run backwards.
  if (selector.port_first > selector.port_last && !selector.opaque_ports()) {
    return malformed(payload_type, "traffic selector whose ports run backwards");
  }
  payload.selectors.push_back(selector);
  return {};
}

void serialize_selector(const model::TrafficSelector& selector, ByteWriter& out) {
  const bool v4 = selector.range.first.is_v4();
  out.u8(v4 ? kIpv4AddrRange : kIpv6AddrRange)
      .u8(selector.protocol)
      .u16(v4 ? 16 : 40)
      .u16(selector.port_first)
      .u16(selector.port_last)
      .bytes(selector.range.first.bytes())
      .bytes(selector.range.last.bytes());
}

}  // namespace

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Number of TSs |                 RESERVED                      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       <Traffic Selectors>                     ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<TsPayload> parse_ts(bool initiator, ByteView body) {
  const auto type = static_cast<std::uint8_t>(initiator ? PayloadType::kTsi : PayloadType::kTsr);
  ByteReader in(body);
  TsPayload payload;
  payload.initiator = initiator;
  const std::uint8_t count = in.u8();
  in.skip(3);
  for (unsigned i = 0; i < count && in.ok(); ++i) {
    const std::uint8_t ts_type = in.u8();
    const std::uint8_t protocol = in.u8();
    const std::uint16_t length = in.u16();
    if (!in.ok()) break;
    if (length < kSelectorHeaderOctets) return malformed(type, "traffic selector shorter than its own header");
    const ByteView selector = in.take(length - kSelectorHeaderOctets);
    if (!in.ok()) break;
    if (auto done = parse_selector(type, ts_type, protocol, selector, payload); !done) {
      return std::unexpected<ParseError>(done.error());
    }
  }
  if (!in.ok() || in.remaining() != 0) {
    return malformed(type, "the number of traffic selectors contradicts the payload's length");
  }
  return payload;
}

void serialize(const TsPayload& payload, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(payload.selectors.size() + payload.unknown.size())).zeros(3);
  for (const auto& selector : payload.selectors) serialize_selector(selector, out);
  for (const auto& selector : payload.unknown) {
    out.u8(selector.type)
        .u8(selector.protocol)
        .u16(static_cast<std::uint16_t>(kSelectorHeaderOctets + selector.body.size()))
        .bytes(selector.body);
  }
}

}  // namespace cygnet::wire::ike
