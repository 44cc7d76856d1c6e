// SPDX-License-Identifier: Apache-2.0
#include "wire/icmp_message.h"

#include <algorithm>

#include "wire/ip_checksum.h"
#include "wire/ip_packet.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"

namespace cygnet::wire {
namespace {

constexpr std::size_t kIcmpHeaderOctets = 8;
// RFC 1812 section 4.3.2.3: as much of the original as fits without the message exceeding 576 octets.
constexpr std::size_t kMaxErrorV4 = 576;

[[nodiscard]] bool is_icmp_error(const IpPacketInfo& info) noexcept {
  if (!info.has_ports) return info.protocol == protocol::kIcmp || info.protocol == protocol::kIcmpv6;
  const unsigned type = info.source_port >> 8U;
  if (info.protocol == protocol::kIcmpv6) return type < 128;  // RFC 4443 section 2.1
  return info.protocol == protocol::kIcmp && (type == 3 || type == 4 || type == 5 || type == 11 || type == 12);
}

[[nodiscard]] bool may_answer(ByteView packet, const IpPacketInfo& info) noexcept {
  const auto source = source_address(packet);
  const auto destination = destination_address(packet);
  if (source.is_unspecified() || source.is_multicast()) return false;
  if (info.is_v4() && (destination.is_multicast() || source.v4_value() == 0xffffffffU)) return false;
  // RFC 4443 section 2.4 (e.3) allows Packet Too Big about multicast; our source would be a multicast address.
  if (destination.is_multicast()) return false;
  return !is_icmp_error(info) && (!info.fragment || info.fragment_offset == 0);
}

std::size_t write_v4(std::uint8_t* to, ByteView offending, std::uint32_t mtu) noexcept {
  const std::size_t quoted = std::min(offending.size(), kMaxErrorV4 - kIpv4HeaderOctets - kIcmpHeaderOctets);
  const std::size_t total = kIpv4HeaderOctets + kIcmpHeaderOctets + quoted;
  write_ipv4_header(to, {.tos = 0xc0,  // RFC 1812 section 4.3.2.5: precedence of internetwork control
                         .total_octets = static_cast<std::uint16_t>(total),
                         .protocol = protocol::kIcmp,
                         .source = destination_address(offending),
                         .destination = source_address(offending)});
  auto* icmp = to + kIpv4HeaderOctets;
  icmp[0] = 3;
  icmp[1] = 4;
  store_be32(icmp + 2, 0);
  store_be16(icmp + 6, static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, 65535)));
  std::ranges::copy(offending.first(quoted), icmp + kIcmpHeaderOctets);
  store_be16(icmp + 2, internet_checksum({icmp, kIcmpHeaderOctets + quoted}));
  return total;
}

std::size_t write_v6(std::uint8_t* to, ByteView offending, std::uint32_t mtu) noexcept {
  // "As much of invoking packet as possible without the ICMPv6 packet exceeding the minimum IPv6 MTU".
  const std::size_t quoted = std::min(offending.size(), kIcmpErrorOctets - kIpv6HeaderOctets - kIcmpHeaderOctets);
  write_ipv6_header(to, {.payload_octets = static_cast<std::uint16_t>(kIcmpHeaderOctets + quoted),
                         .next_header = protocol::kIcmpv6,
                         .source = destination_address(offending),
                         .destination = source_address(offending)});
  auto* icmp = to + kIpv6HeaderOctets;
  icmp[0] = 2;
  icmp[1] = 0;
  store_be16(icmp + 2, 0);
  store_be32(icmp + 4, mtu);
  std::ranges::copy(offending.first(quoted), icmp + kIcmpHeaderOctets);
  const auto octets = static_cast<std::uint32_t>(kIcmpHeaderOctets + quoted);
  const auto sum = pseudo_header_sum(source_octets({to, kIpv6HeaderOctets}),
                                     destination_octets({to, kIpv6HeaderOctets}), protocol::kIcmpv6, octets);
  store_be16(icmp + 2, static_cast<std::uint16_t>(~checksum_fold(checksum_add(sum, {icmp, octets}))));
  return kIpv6HeaderOctets + octets;
}

}  // namespace

std::size_t write_too_big_error(std::uint8_t* to, ByteView offending, std::uint32_t mtu) noexcept {
  const auto info = parse_ip_packet(offending);
  if (!info || !may_answer(offending, *info)) return 0;
  const auto packet = offending.first(info->total_octets);
  return info->is_v4() ? write_v4(to, packet, mtu) : write_v6(to, packet, mtu);
}

}  // namespace cygnet::wire
