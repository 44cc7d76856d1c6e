// SPDX-License-Identifier: Apache-2.0
#include "io/ether_frame.h"

#include <algorithm>

namespace cygnet::io {

namespace {

constexpr std::uint16_t kEtherV4 = 0x0800;
constexpr std::uint16_t kEtherV6 = 0x86dd;
constexpr std::uint8_t kEsp = 50;  // RFC 4303 section 2
constexpr std::uint8_t kHops = 64;
constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kFragmentBits = 0x3fff;  // more fragments, and the offset
constexpr std::size_t kEspHeader = 8;

// RFC 791 section 3.1: "the 16 bit one's complement of the one's complement sum of all 16 bit words in the header".
std::uint16_t header_checksum(const std::uint8_t* header) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < ip_header_octets(Family::kV4); i += 2) sum += load_be16(header + i);
  sum = (sum & 0xffff) + (sum >> 16);
  sum += sum >> 16;
  return static_cast<std::uint16_t>(~sum);
}

std::optional<EspFrame> parse_v4(MutableByteView packet) {
  constexpr auto kHeader = ip_header_octets(Family::kV4);
  constexpr std::uint8_t kVersionAndLength = 0x45;
  if (packet.size() < kHeader + kEspHeader || packet[0] != kVersionAndLength || packet[9] != kEsp) return std::nullopt;
  const std::size_t octets = load_be16(&packet[2]);
  if (octets < kHeader + kEspHeader || octets > packet.size()) return std::nullopt;
  if ((load_be16(&packet[6]) & kFragmentBits) != 0) return std::nullopt;
  // RFC 1122 section 3.2.1.2: "A host MUST verify the IP header checksum on every received datagram and silently
  // discard every datagram that has a bad checksum."
  if (header_checksum(packet.data()) != 0) return std::nullopt;
  return EspFrame{.esp = packet.subspan(kHeader, octets - kHeader),
                  .local = IpAddress::from_bytes(packet.subspan(16, 4)),
                  .remote = IpAddress::from_bytes(packet.subspan(12, 4)),
                  .tos = packet[1]};
}

std::optional<EspFrame> parse_v6(MutableByteView packet) {
  constexpr auto kHeader = ip_header_octets(Family::kV6);
  if (packet.size() < kHeader + kEspHeader || (packet[0] >> 4) != 6 || packet[6] != kEsp) return std::nullopt;
  const std::size_t payload = load_be16(&packet[4]);
  if (payload < kEspHeader || payload > packet.size() - kHeader) return std::nullopt;
  return EspFrame{.esp = packet.subspan(kHeader, payload),
                  .local = IpAddress::from_bytes(packet.subspan(24, 16)),
                  .remote = IpAddress::from_bytes(packet.subspan(8, 16)),
                  .tos = static_cast<std::uint8_t>((packet[0] << 4) | (packet[1] >> 4))};
}

void write_v4(std::uint8_t* out, const EspHeaders& headers, std::size_t esp_octets) {
  out[0] = 0x45;
  out[1] = headers.tos;
  store_be16(out + 2, static_cast<std::uint16_t>(ip_header_octets(Family::kV4) + esp_octets));
  // RFC 6864 section 4.1: "Originating sources MAY set the IPv4 ID field of atomic datagrams to any value."
  store_be16(out + 4, headers.dont_fragment ? std::uint16_t{0} : headers.identification);
  store_be16(out + 6, headers.dont_fragment ? kDontFragment : std::uint16_t{0});
  out[8] = kHops;
  out[9] = kEsp;
  store_be16(out + 10, 0);
  std::ranges::copy(headers.source.bytes(), out + 12);
  std::ranges::copy(headers.destination.bytes(), out + 16);
  store_be16(out + 10, header_checksum(out));
}

void write_v6(std::uint8_t* out, const EspHeaders& headers, std::size_t esp_octets) {
  out[0] = static_cast<std::uint8_t>(0x60 | (headers.tos >> 4));
  out[1] = static_cast<std::uint8_t>(headers.tos << 4);
  store_be16(out + 2, 0);
  store_be16(out + 4, static_cast<std::uint16_t>(esp_octets));
  out[6] = kEsp;
  out[7] = kHops;
  std::ranges::copy(headers.source.bytes(), out + 8);
  std::ranges::copy(headers.destination.bytes(), out + 24);
}

}  // namespace

std::optional<EspFrame> parse_esp_frame(MutableByteView frame) {
  if (frame.size() < kEtherHeader) return std::nullopt;
  switch (load_be16(&frame[12])) {
    case kEtherV4: return parse_v4(frame.subspan(kEtherHeader));
    case kEtherV6: return parse_v6(frame.subspan(kEtherHeader));
    default: return std::nullopt;
  }
}

std::size_t write_esp_headers(std::uint8_t* out, const EspHeaders& headers, std::size_t esp_octets) {
  const bool v4 = headers.destination.is_v4();
  std::ranges::copy(headers.destination_mac, out);
  std::ranges::copy(headers.source_mac, out + 6);
  store_be16(out + 12, v4 ? kEtherV4 : kEtherV6);
  v4 ? write_v4(out + kEtherHeader, headers, esp_octets) : write_v6(out + kEtherHeader, headers, esp_octets);
  return kEtherHeader + ip_header_octets(headers.destination.family());
}

}  // namespace cygnet::io
