// SPDX-License-Identifier: Apache-2.0
#pragma once

// What outbound.cc asks of single packets: what they are, and how the packet around them has to look.
#include <algorithm>
#include <array>
#include <cstring>

#include "engine/beet.h"
#include "engine/burst.h"
#include "engine/path_mtu.h"
#include "wire/esp_header.h"
#include "wire/ip_fast.h"
#include "wire/ipv6_header.h"

namespace cygnet::engine {

// What an IPv4 UDP datagram carries at most.
inline constexpr std::size_t kMaxDatagramOctets = 65507;

// Room behind a packet for the longest trailer.
inline constexpr std::size_t kSealTailroom = 32;

// How an outer packet goes: what decides whether two may share a send.
struct OuterWay {
  std::uint8_t tos = 0;
  bool dont_fragment = false;
  bool operator==(const OuterWay&) const = default;
};

[[nodiscard]] inline OuterWay outer_way(const Parsed& packet, const OutboundSa& sa) {
  if (sa.transport) return {packet.info.tos, packet.info.dont_fragment};
  OuterWay way{.tos = static_cast<std::uint8_t>(packet.info.tos & sa.tos_mask)};
  switch (sa.df) {
    case model::DfPolicy::kCopy: way.dont_fragment = packet.info.dont_fragment; break;
    case model::DfPolicy::kSet: way.dont_fragment = true; break;
    case model::DfPolicy::kClear: way.dont_fragment = false; break;
  }
  return way;
}

// What transport mode leaves outside of ESP, because the kernel writes the outer header.
[[nodiscard]] inline std::size_t outside_octets(const Parsed& packet) {
  return packet.info.is_v4() ? packet.info.header_octets : wire::kIpv6HeaderOctets;
}

// BEET mode: IPv4 options travel inside.
[[nodiscard]] inline bool carries_options(const Parsed& packet, const OutboundSa& sa) {
  return sa.transport && packet.info.is_v4() && packet.info.header_octets > wire::kIpv4HeaderOctets &&
         sa.spec.mode == model::Mode::kBeet;
}

// RFC 4303 section 2.7: zeros behind the inner packet, whose own length tells where they begin.
[[nodiscard]] inline std::size_t tfc_padding(const OutboundSa& sa, std::size_t octets) {
  if (!sa.pads) return 0;
  const std::size_t wanted = std::min(sa.spec.tfc_octets, sa.inner_mtu);
  return wanted > octets ? wanted - octets : 0;
}

[[nodiscard]] inline std::uint8_t next_header_of(const Parsed& packet, const OutboundSa& sa) {
  if (carries_options(packet, sa)) return kBeetPseudoHeader;
  if (sa.transport) return packet.info.is_v4() ? packet.bytes[9] : packet.bytes[6];
  return packet.info.is_v4() ? wire::protocol::kIpv4 : wire::protocol::kIpv6;
}

// RFC 4303 section 3.1.1: hop-by-hop and routing headers belong in front of ESP; there we cannot write any.
[[nodiscard]] inline bool fits_transport(const Parsed& packet) {
  return packet.info.is_v4() ||
         (packet.bytes[6] != wire::protocol::kHopByHop && packet.bytes[6] != wire::protocol::kRouting);
}

inline void parse(const OutPacket& packet, bool reassembled, Parsed& parsed) {
  const auto ok = wire::parse_ip_packet(packet.bytes, parsed.info);
  parsed.sound = ok.has_value();
  parsed.device = packet.device;
  parsed.offload = packet.offload;
  parsed.reassembled = reassembled;
  if (!ok) {
    parsed.bytes = packet.bytes;
    parsed.refused = ok.error() == wire::IpError::kTruncated ? DropReason::kTruncated : DropReason::kMalformedIp;
    return;
  }
  parsed.bytes = packet.bytes.first(parsed.info.total_octets);
  parsed.tailroom = packet.tailroom;
  // RFC 4301 section 5.1.2.1 note 2: a TTL of zero goes nowhere. The kernel counted it down when it forwarded.
  if (parsed.info.ttl == 0) {
    parsed.sound = false;
    parsed.refused = DropReason::kTtlExpired;
  }
}

// Whether a packet larger than the path may be sealed as it is, and the outer one be fragmented by the kernel.
[[nodiscard]] inline bool outer_may_fragment(const Parsed& packet, const OutboundSa& sa) {
  if (esp_octets(sa, packet.bytes.size()) > kMaxDatagramOctets) return false;
  // RFC 4303 section 3.3.4: in transport mode fragmentation comes after ESP, as it did before we put it together.
  if (packet.reassembled) return true;
  // RFC 8200 section 5: every link takes 1280 octets; ours too, by outer fragments if need be.
  if (!packet.info.is_v4()) return packet.info.total_octets <= wire::kIpv6MinimumMtu;
  return sa.transport ? !packet.info.dont_fragment : sa.df == model::DfPolicy::kClear;
}

// RFC 4303 section 2.4: "the Padding bytes are initialized with a series of (unsigned, 1-byte) integer values".
inline void write_trailer(std::uint8_t* to, std::size_t pad, std::uint8_t next_header) {
  if (pad > 3) {
    wire::write_esp_trailer(to, pad, next_header);
    return;
  }
  // The trailer and the ICV behind it have more than four octets.
  constexpr std::array<std::uint8_t, 4> kPadding{1, 2, 3, 0};
  std::memcpy(to, kPadding.data(), kPadding.size());
  to[pad] = static_cast<std::uint8_t>(pad);
  to[pad + 1] = next_header;
}

}  // namespace cygnet::engine
