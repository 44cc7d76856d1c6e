// SPDX-License-Identifier: Apache-2.0
#include "wire/ipv6_header.h"

#include <algorithm>

namespace cygnet::wire {

void write_ipv6_header(std::uint8_t* to, const Ipv6Header& header) noexcept {
  store_be32(to, 0x60000000U | (static_cast<std::uint32_t>(header.traffic_class) << 20U));
  store_be16(to + 4, header.payload_octets);
  to[6] = header.next_header;
  to[7] = header.hop_limit;
  std::ranges::copy(header.source.bytes(), to + 8);
  std::ranges::copy(header.destination.bytes(), to + 24);
}

void set_ipv6_traffic_class(std::uint8_t* header, std::uint8_t traffic_class) noexcept {
  const auto word = load_be16(header);
  store_be16(header, static_cast<std::uint16_t>((word & 0xf00fU) | (static_cast<unsigned>(traffic_class) << 4U)));
}

}  // namespace cygnet::wire
