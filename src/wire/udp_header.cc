// SPDX-License-Identifier: Apache-2.0
#include "wire/udp_header.h"

namespace cygnet::wire {

UdpEncapsulated classify_udp_encapsulated(ByteView payload) noexcept {
  // RFC 3948 section 2.3: "a one-octet-long payload with the value 0xFF".
  if (payload.size() == 1 && payload[0] == kNatKeepalive) return UdpEncapsulated::kKeepalive;
  if (payload.size() < kNonEspMarkerOctets) return UdpEncapsulated::kTooShort;
  // RFC 3948 section 2.2: the marker is "4 zero-valued bytes aligning with the SPI field of an ESP packet".
  return load_be32(payload.data()) == 0 ? UdpEncapsulated::kIke : UdpEncapsulated::kEsp;
}

}  // namespace cygnet::wire
