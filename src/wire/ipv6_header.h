// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writing and mending IPv6 headers (RFC 8200; drawing in ip_packet.cc).
#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"

namespace cygnet::wire {

struct Ipv6Header {
  std::uint8_t traffic_class = 0;
  std::uint16_t payload_octets = 0;
  std::uint8_t next_header = 0;
  std::uint8_t hop_limit = 64;
  IpAddress source;
  IpAddress destination;
};

void write_ipv6_header(std::uint8_t* to, const Ipv6Header& header) noexcept;  // 40 octets
void set_ipv6_traffic_class(std::uint8_t* header, std::uint8_t traffic_class) noexcept;

inline constexpr std::uint32_t kIpv6MinimumMtu = 1280;  // RFC 8200 section 5

}  // namespace cygnet::wire
