// SPDX-License-Identifier: Apache-2.0
#pragma once

// The packets that most packets are, parsed inline: whole IPv4 packets without options that carry TCP or UDP. What it
// fills in is what parse_ip_packet() says of the same packet.
#include <cstring>

#include "wire/ip_packet.h"

namespace cygnet::wire {

// False says nothing about the packet: ask parse_ip_packet().
[[nodiscard]] inline bool parse_plain_ipv4(ByteView packet, IpPacketInfo& info) noexcept {
  constexpr std::size_t kPorts = 8;  // shorter than both headers: what follows is looked at by others
  if (packet.size() < kIpv4HeaderOctets + kPorts || packet[0] != 0x45) return false;
  const auto* p = packet.data();
  const std::uint32_t total = load_be16(p + 2);
  const std::uint16_t flags = load_be16(p + 6);
  const std::uint8_t upper = p[9];
  if (total < kIpv4HeaderOctets + kPorts || total > packet.size() || (flags & 0x3fffU) != 0 ||
      (upper != protocol::kTcp && upper != protocol::kUdp)) {
    return false;
  }
  // RFC 1071: the sum does not depend on the byte order, and is all ones if the checksum is right.
  std::uint64_t words[2];
  std::uint32_t last = 0;
  std::memcpy(words, p, 16);
  std::memcpy(&last, p + 16, 4);
  std::uint64_t sum =
      (words[0] & 0xffffffffU) + (words[0] >> 32U) + (words[1] & 0xffffffffU) + (words[1] >> 32U) + last;
  sum = (sum & 0xffffU) + ((sum >> 16U) & 0xffffU) + (sum >> 32U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  if (((sum & 0xffffU) + (sum >> 16U)) != 0xffffU) return false;
  info = {};
  info.tos = p[1];
  info.ttl = p[8];
  info.protocol = upper;
  info.dont_fragment = (flags & 0x4000U) != 0;
  info.has_ports = true;
  info.identification = load_be16(p + 4);
  info.header_octets = kIpv4HeaderOctets;
  info.total_octets = total;
  info.source_port = load_be16(p + 20);
  info.destination_port = load_be16(p + 22);
  return true;
}

// parse_ip_packet() with the short way in front.
[[nodiscard]] inline std::expected<void, IpError> parse_ip_packet(ByteView packet, IpPacketInfo& info) noexcept {
  if (parse_plain_ipv4(packet, info)) return {};
  const auto parsed = parse_ip_packet(packet);
  if (!parsed) return std::unexpected(parsed.error());
  info = *parsed;
  return {};
}

}  // namespace cygnet::wire
