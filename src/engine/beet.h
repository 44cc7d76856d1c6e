// SPDX-License-Identifier: Apache-2.0
#pragma once

// BEET mode (draft-nikander-esp-beet-mode): like transport mode on the wire, with inner addresses that both ends know.
// IPv4 options of the inner packet travel in a pseudo header in front of what ESP protects:
//   +---------------+---------------+---------------+---------------+
//   |  Next Header  |  Header Len   |    Pad Len    |   Reserved    |   length: 8-octet units behind the first
//   +---------------+---------------+---------------+---------------+
//   >       Pad Len octets of padding, then the IPv4 options        <
//   +---------------------------------------------------------------+
#include <optional>

#include "base/bytes.h"

namespace cygnet::engine {

inline constexpr std::uint8_t kBeetPseudoHeader = 94;  // its protocol number
inline constexpr std::size_t kMostBeetOctets = 48;     // the longest pseudo header: 40 octets of options
inline constexpr std::size_t kMostIpv4Options = 40;

// Pseudo header and payload of an IPv4 packet with options, written to `to` (kMostBeetOctets more than the payload).
// Octets.
[[nodiscard]] std::size_t write_beet_payload(std::uint8_t* to, ByteView packet, std::size_t header_octets);

struct BeetPayload {
  std::uint8_t next_header = 0;
  ByteView options;
  MutableByteView rest;
};
// Nothing: it contradicts itself.
[[nodiscard]] std::optional<BeetPayload> parse_beet_payload(MutableByteView payload);

}  // namespace cygnet::engine
