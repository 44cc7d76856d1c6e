// SPDX-License-Identifier: Apache-2.0
#pragma once

// Diet-ESP as draft-ietf-ipsecme-diet-esp-04 has it, of which these rules are built: the lowest octets of the sequence
// number stand for all of it (Encrypted ESP Compression), and padding, pad length and next header are left out (Clear
// Text ESP Compression with an alignment of 8 bit). The inner packet goes as it is ("iipc_uncompress"), the SPI whole
// (esp_spi_lsb of 32).
//
//  | SPI (4) | low octets of the sequence number (1 to 4) | IV | encrypted inner packet | ICV |
//
// IV, encryption and ICV are those of the ESP packet that it stands for, whose header has all eight octets.
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "model/sa_spec.h"
#include "wire/esp_header.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

[[nodiscard]] inline std::size_t diet_header_octets(const model::DietEsp& diet) {
  return wire::kEspHeaderOctets - wire::kEspSequenceOctets + diet.sn_octets;
}
// The low octets of the sequence number; the packet has a header.
[[nodiscard]] inline std::uint32_t diet_sequence_low(ByteView packet, const model::DietEsp& diet) {
  std::uint32_t low = 0;
  for (const auto octet : packet.subspan(4, diet.sn_octets)) low = low << 8U | octet;
  return low;
}
// In place: a sealed ESP packet with the header made shorter; its end stays where it is.
[[nodiscard]] inline MutableByteView shorten_header(MutableByteView esp, const model::DietEsp& diet) {
  const std::size_t less = wire::kEspSequenceOctets - diet.sn_octets;
  std::memmove(esp.data() + less, esp.data(), 4);
  return esp.subspan(less);
}
// "In tunnel mode, the Next Header is elided, as it is determined by ts_ip_version." Of selectors that engine and ike
// have found to be of one family.
[[nodiscard]] inline std::uint8_t diet_next_header(const model::SaSpec& spec) {
  return model::family_of(spec.local_selectors, spec.remote_selectors) == Family::kV6 ? wire::protocol::kIpv6
                                                                                      : wire::protocol::kIpv4;
}

}  // namespace cygnet::engine
