// SPDX-License-Identifier: Apache-2.0
#pragma once

// IPv4 (RFC 791) and IPv6 (RFC 8200) packets as IPsec looks at them: addresses, upper-layer protocol and ports.
#include <cstdint>
#include <expected>

#include "base/address.h"
#include "base/bytes.h"

namespace cygnet::wire {

namespace protocol {
inline constexpr std::uint8_t kHopByHop = 0;
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kIpv4 = 4;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kDccp = 33;
inline constexpr std::uint8_t kIpv6 = 41;
inline constexpr std::uint8_t kRouting = 43;
inline constexpr std::uint8_t kFragment = 44;
inline constexpr std::uint8_t kEsp = 50;
inline constexpr std::uint8_t kAh = 51;
inline constexpr std::uint8_t kIcmpv6 = 58;
inline constexpr std::uint8_t kNoNextHeader = 59;
inline constexpr std::uint8_t kIpcomp = 108;
inline constexpr std::uint8_t kDestinationOptions = 60;
inline constexpr std::uint8_t kSctp = 132;
inline constexpr std::uint8_t kMobility = 135;
inline constexpr std::uint8_t kUdpLite = 136;
}  // namespace protocol

inline constexpr std::size_t kIpv4HeaderOctets = 20;
inline constexpr std::size_t kIpv6HeaderOctets = 40;
inline constexpr std::uint8_t kEcnMask = 0x03;  // RFC 3168 section 5
inline constexpr std::uint8_t kDscpMask = 0xfc;

enum class IpError : std::uint8_t { kTruncated, kMalformed };

// Everything selectors need, read in one pass. Valid for the bytes it was parsed from.
struct IpPacketInfo {
  Family family = Family::kV4;
  std::uint8_t tos = 0;        // TOS or traffic class
  std::uint8_t ttl = 0;        // TTL or hop limit
  std::uint8_t protocol = 0;   // upper-layer protocol, behind extension headers
  bool dont_fragment = false;  // IPv4 DF; always true with IPv6
  bool fragment = false;       // a fragment, the first one included
  bool more_fragments = false;
  bool has_ports = false;             // source_port and destination_port are known
  bool has_extensions = false;        // IPv4 options or IPv6 extension headers
  std::uint16_t fragment_offset = 0;  // octets
  std::uint32_t identification = 0;   // IPv4 always, IPv6 of fragments
  std::uint32_t header_octets = 0;    // up to the upper-layer header or fragment payload
  std::uint32_t total_octets = 0;     // of the packet; what follows is not part of it
  // TCP, UDP, SCTP, DCCP, UDP-Lite: ports. ICMP, ICMPv6: type * 256 + code in both. Mobility header: type * 256 in
  // both.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;

  [[nodiscard]] bool is_v4() const { return family == Family::kV4; }
  [[nodiscard]] bool first_fragment() const { return fragment && fragment_offset == 0; }
  [[nodiscard]] std::uint32_t payload_octets() const { return total_octets - header_octets; }
};

// The IPv4 header checksum is verified. At most kMaxExtensionHeaders extension headers are walked.
inline constexpr unsigned kMaxExtensionHeaders = 16;
[[nodiscard]] std::expected<IpPacketInfo, IpError> parse_ip_packet(ByteView packet) noexcept;

// Address fields of a packet that parse_ip_packet accepted.
[[nodiscard]] inline ByteView source_octets(ByteView packet) noexcept {
  return (packet[0] >> 4U) == 4U ? packet.subspan(12, 4) : packet.subspan(8, 16);
}
[[nodiscard]] inline ByteView destination_octets(ByteView packet) noexcept {
  return (packet[0] >> 4U) == 4U ? packet.subspan(16, 4) : packet.subspan(24, 16);
}
[[nodiscard]] IpAddress source_address(ByteView packet) noexcept;
[[nodiscard]] IpAddress destination_address(ByteView packet) noexcept;

}  // namespace cygnet::wire
