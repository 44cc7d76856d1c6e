// SPDX-License-Identifier: Apache-2.0
#include "wire/ipv4_header.h"

#include <algorithm>

#include "wire/ip_checksum.h"
#include "wire/ip_packet.h"

namespace cygnet::wire {

void write_ipv4_header(std::uint8_t* to, const Ipv4Header& header) noexcept {
  to[0] = 0x45;
  to[1] = header.tos;
  store_be16(to + 2, header.total_octets);
  store_be16(to + 4, header.identification);
  store_be16(to + 6, header.dont_fragment ? 0x4000 : 0);
  to[8] = header.ttl;
  to[9] = header.protocol;
  store_be16(to + 10, 0);
  std::ranges::copy(header.source.bytes().first(4), to + 12);
  std::ranges::copy(header.destination.bytes().first(4), to + 16);
  store_be16(to + 10, internet_checksum({to, kIpv4HeaderOctets}));
}

void set_ipv4_word(std::uint8_t* header, std::size_t offset, std::uint16_t value) noexcept {
  const std::uint16_t checksum = checksum_update(load_be16(header + 10), load_be16(header + offset), value);
  store_be16(header + offset, value);
  store_be16(header + 10, checksum);
}

void set_ipv4_tos(std::uint8_t* header, std::uint8_t tos) noexcept {
  set_ipv4_word(header, 0, static_cast<std::uint16_t>((header[0] << 8) | tos));
}

void set_ipv4_length_and_id(std::uint8_t* header, std::uint16_t total_octets, std::uint16_t identification) noexcept {
  set_ipv4_word(header, 2, total_octets);
  set_ipv4_word(header, 4, identification);
}

}  // namespace cygnet::wire
