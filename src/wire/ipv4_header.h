// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writing and mending IPv4 headers (RFC 791; drawing in ip_packet.cc).
#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"

namespace cygnet::wire {

struct Ipv4Header {
  std::uint8_t tos = 0;
  std::uint16_t total_octets = 0;
  std::uint16_t identification = 0;
  bool dont_fragment = false;
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  IpAddress source;
  IpAddress destination;
};

// Writes 20 octets with the right checksum.
void write_ipv4_header(std::uint8_t* to, const Ipv4Header& header) noexcept;
// Changes of a header in place; its checksum follows.
void set_ipv4_tos(std::uint8_t* header, std::uint8_t tos) noexcept;
void set_ipv4_word(std::uint8_t* header, std::size_t offset, std::uint16_t value) noexcept;  // offset even, not 10
// Total length and identification at once: what differs between the segments of one super-packet.
void set_ipv4_length_and_id(std::uint8_t* header, std::uint16_t total_octets, std::uint16_t identification) noexcept;

}  // namespace cygnet::wire
