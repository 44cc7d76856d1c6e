// SPDX-License-Identifier: Apache-2.0
#pragma once

// ICMP "fragmentation needed" (RFC 792, RFC 1191 section 4) and ICMPv6 "packet too big" (RFC 4443 section 3.2).
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +---------------+---------------+-------------------------------+
// |   Type = 3    |   Code = 4    |           Checksum            |
// +---------------+---------------+-------------------------------+
// |           unused = 0          |         Next-Hop MTU          |
// +-------------------------------+-------------------------------+
// |      Internet Header + 64 bits of Original Datagram Data      |
// +---------------------------------------------------------------+
#include <cstdint>

#include "base/bytes.h"

namespace cygnet::wire {

inline constexpr std::size_t kIcmpErrorOctets = 1280;  // room every error below fits into

// Builds the whole IP packet that tells the sender of offending the size that fits, into to (kIcmpErrorOctets).
// It comes from the offending packet's destination: reverse path filters of the sender's side let it pass, and the host
// believes it for that destination. Returns its octets; 0 if no error may be sent about this packet (RFC 1122 section
// 3.2.2, RFC 4443 section 2.4: never about ICMP errors, multicast, later fragments or unspecified sources).
// offending: a packet that parse_ip_packet accepted.
[[nodiscard]] std::size_t write_too_big_error(std::uint8_t* to, ByteView offending, std::uint32_t mtu) noexcept;

}  // namespace cygnet::wire
