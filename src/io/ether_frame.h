// SPDX-License-Identifier: Apache-2.0
#pragma once

// ESP directly on Ethernet: the headers around it (IEEE 802.3, RFC 791, RFC 8200), written and read without a kernel.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"

namespace cygnet::io {

using MacAddress = std::array<std::uint8_t, 6>;

inline constexpr std::size_t kEtherHeader = 14;

// Of the IP header in front of ESP, which has no options.
[[nodiscard]] constexpr std::size_t ip_header_octets(Family family) { return family == Family::kV4 ? 20 : 40; }

struct EspFrame {
  MutableByteView esp;  // from the SPI on, without Ethernet's padding
  IpAddress local;      // the packet's destination
  IpAddress remote;
  std::uint8_t tos = 0;
};
// Nothing unless the frame is a whole, sound IP packet with ESP right behind its IP header: no options, no extension
// headers, no fragment, and with IPv4 a header checksum that is right.
[[nodiscard]] std::optional<EspFrame> parse_esp_frame(MutableByteView frame);

struct EspHeaders {
  MacAddress source_mac{}, destination_mac{};
  IpAddress source, destination;  // of one family
  std::uint8_t tos = 0;
  bool dont_fragment = false;
  std::uint16_t identification = 0;  // IPv4, where the packet may be fragmented on its way
};
// Ethernet and IP headers for this many octets of ESP, of which the IP packet has to hold 65,535 at most; how many
// octets were written: kEtherHeader and ip_header_octets().
std::size_t write_esp_headers(std::uint8_t* out, const EspHeaders& headers, std::size_t esp_octets);

}  // namespace cygnet::io
