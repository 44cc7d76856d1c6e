// SPDX-License-Identifier: Apache-2.0
#pragma once

// UDP (RFC 768) and what lies behind it on the encapsulation port (RFC 3948 section 2).
//  0      7 8     15 16    23 24    31
// +--------+--------+--------+--------+
// |     Source      |   Destination   |
// |      Port       |      Port       |
// +--------+--------+--------+--------+
// |     Length      |    Checksum     |
// +--------+--------+--------+--------+
#include <cstdint>

#include "base/bytes.h"

namespace cygnet::wire {

inline constexpr std::size_t kUdpHeaderOctets = 8;
inline constexpr std::size_t kUdpLengthOffset = 4;
inline constexpr std::size_t kUdpChecksumOffset = 6;
inline constexpr std::size_t kNonEspMarkerOctets = 4;
inline constexpr std::uint8_t kNatKeepalive = 0xff;

enum class UdpEncapsulated : std::uint8_t { kEsp, kIke, kKeepalive, kTooShort };

// payload: behind the UDP header. kIke: the message follows the four zero octets of the Non-ESP Marker.
[[nodiscard]] UdpEncapsulated classify_udp_encapsulated(ByteView payload) noexcept;

}  // namespace cygnet::wire
