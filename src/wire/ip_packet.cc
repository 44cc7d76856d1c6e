// SPDX-License-Identifier: Apache-2.0
#include "wire/ip_packet.h"

#include "wire/ip_checksum.h"

namespace cygnet::wire {
namespace {

// Ports, ICMP type and code, or mobility type (RFC 4301 section 4.4.1.1 names them as selectors).
void read_ports(ByteView packet, IpPacketInfo& info) noexcept {
  if (info.fragment && info.fragment_offset != 0) return;
  const auto upper = packet.subspan(info.header_octets, info.payload_octets());
  switch (info.protocol) {
    case protocol::kTcp:
    case protocol::kUdp:
    case protocol::kSctp:
    case protocol::kDccp:
    case protocol::kUdpLite:
      if (upper.size() < 4) return;
      info.source_port = load_be16(upper.data());
      info.destination_port = load_be16(upper.data() + 2);
      info.has_ports = true;
      return;
    case protocol::kIcmp:
    case protocol::kIcmpv6:
      if (upper.size() < 2) return;
      info.source_port = info.destination_port = load_be16(upper.data());
      info.has_ports = true;
      return;
    case protocol::kMobility:  // RFC 6275 section 6.1.1: the MH Type is the third octet
      if (upper.size() < 3) return;
      info.source_port = info.destination_port = static_cast<std::uint16_t>(upper[2] << 8);
      info.has_ports = true;
      return;
    default: return;
  }
}

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-------+-------+---------------+-------------------------------+
// |Version|  IHL  |Type of Service|          Total Length         |
// +-------+-------+---------------+-----+-------------------------+
// |         Identification        |Flags|      Fragment Offset    |
// +---------------+---------------+-----+-------------------------+
// |  Time to Live |    Protocol   |         Header Checksum       |
// +---------------+---------------+-------------------------------+
// |                         Source Address                        |
// +---------------------------------------------------------------+
// |                      Destination Address                      |
// +---------------------------------------------------------------+
std::expected<IpPacketInfo, IpError> parse_v4(ByteView packet) noexcept {
  if (packet.size() < kIpv4HeaderOctets) return std::unexpected(IpError::kTruncated);
  const auto* p = packet.data();
  IpPacketInfo info;
  info.family = Family::kV4;
  info.header_octets = static_cast<std::uint32_t>(p[0] & 0x0fU) * 4U;
  info.total_octets = load_be16(p + 2);
  if (info.header_octets < kIpv4HeaderOctets || info.total_octets < info.header_octets) {
    return std::unexpected(IpError::kMalformed);
  }
  if (info.total_octets > packet.size()) return std::unexpected(IpError::kTruncated);
  if (internet_checksum(packet.first(info.header_octets)) != 0) return std::unexpected(IpError::kMalformed);
  info.tos = p[1];
  info.identification = load_be16(p + 4);
  const std::uint16_t flags = load_be16(p + 6);
  info.dont_fragment = (flags & 0x4000U) != 0;
  info.more_fragments = (flags & 0x2000U) != 0;
  info.fragment_offset = static_cast<std::uint16_t>((flags & 0x1fffU) * 8U);
  info.fragment = info.more_fragments || info.fragment_offset != 0;
  info.ttl = p[8];
  info.protocol = p[9];
  info.has_extensions = info.header_octets > kIpv4HeaderOctets;
  // A fragment that would end beyond the largest datagram (RFC 791: total length is 16 bits).
  if (info.fragment_offset + info.payload_octets() > 65535U) return std::unexpected(IpError::kMalformed);
  read_ports(packet, info);
  return info;
}

// Walks extension headers up to the upper-layer protocol or the fragment payload. RFC 8200 section 4.
std::expected<void, IpError> walk_extensions(ByteView packet, IpPacketInfo& info) noexcept {
  for (unsigned walked = 0; walked < kMaxExtensionHeaders; ++walked) {
    const auto* p = packet.data() + info.header_octets;
    const std::size_t left = info.payload_octets();
    std::size_t octets = 0;
    switch (info.protocol) {
      case protocol::kHopByHop:
      case protocol::kRouting:
      case protocol::kDestinationOptions:
        if (left < 8) return std::unexpected(IpError::kTruncated);
        octets = (static_cast<std::size_t>(p[1]) + 1U) * 8U;
        break;
      case protocol::kFragment: {
        if (left < 8) return std::unexpected(IpError::kTruncated);
        if (info.fragment) return std::unexpected(IpError::kMalformed);
        octets = 8;
        const std::uint16_t word = load_be16(p + 2);
        info.fragment_offset = static_cast<std::uint16_t>(word & 0xfff8U);
        info.more_fragments = (word & 1U) != 0;
        // RFC 6946: an atomic fragment (offset 0, nothing follows) is a whole packet.
        info.fragment = info.more_fragments || info.fragment_offset != 0;
        info.identification = load_be32(p + 4);
        break;
      }
      default: return {};
    }
    if (octets > left) return std::unexpected(IpError::kTruncated);
    info.has_extensions = true;
    info.protocol = p[0];
    info.header_octets += static_cast<std::uint32_t>(octets);
    // Behind a later fragment's header lies the middle of something: no header to walk on from.
    if (info.fragment && info.fragment_offset != 0) return {};
  }
  return std::unexpected(IpError::kMalformed);
}

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-------+---------------+---------------------------------------+
// |Version| Traffic Class |              Flow Label               |
// +-------+---------------+-------+---------------+---------------+
// |         Payload Length        |  Next Header  |   Hop Limit   |
// +-------------------------------+---------------+---------------+
// |                    Source Address (16 octets)                 |
// +---------------------------------------------------------------+
// |                 Destination Address (16 octets)               |
// +---------------------------------------------------------------+
std::expected<IpPacketInfo, IpError> parse_v6(ByteView packet) noexcept {
  if (packet.size() < kIpv6HeaderOctets) return std::unexpected(IpError::kTruncated);
  const auto* p = packet.data();
  IpPacketInfo info;
  info.family = Family::kV6;
  info.header_octets = kIpv6HeaderOctets;
  info.total_octets = static_cast<std::uint32_t>(kIpv6HeaderOctets) + load_be16(p + 4);
  if (info.total_octets > packet.size()) return std::unexpected(IpError::kTruncated);
  info.tos = static_cast<std::uint8_t>((load_be16(p) >> 4U) & 0xffU);
  info.ttl = p[7];
  info.protocol = p[6];
  info.dont_fragment = true;
  if (const auto walked = walk_extensions(packet, info); !walked) return std::unexpected(walked.error());
  if (info.fragment_offset + info.payload_octets() > 65535U) return std::unexpected(IpError::kMalformed);
  read_ports(packet, info);
  return info;
}

}  // namespace

std::expected<IpPacketInfo, IpError> parse_ip_packet(ByteView packet) noexcept {
  if (packet.empty()) return std::unexpected(IpError::kTruncated);
  switch (packet[0] >> 4U) {
    case 4: return parse_v4(packet);
    case 6: return parse_v6(packet);
    default: return std::unexpected(IpError::kMalformed);
  }
}

IpAddress source_address(ByteView packet) noexcept { return IpAddress::from_bytes(source_octets(packet)); }
IpAddress destination_address(ByteView packet) noexcept { return IpAddress::from_bytes(destination_octets(packet)); }

}  // namespace cygnet::wire
