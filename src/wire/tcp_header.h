// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP headers (RFC 9293 section 3.1), as far as segmentation, merging and MSS clamping need them.
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-------------------------------+-------------------------------+
// |          Source Port          |       Destination Port        |
// +-------------------------------+-------------------------------+
// |                        Sequence Number                        |
// +---------------------------------------------------------------+
// |                    Acknowledgment Number                      |
// +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
// | Data  |       |C|E|U|A|P|R|S|F|                               |
// | Offset| Rsrvd |W|C|R|C|S|S|Y|I|            Window             |
// |       |       |R|E|G|K|H|T|N|N|                               |
// +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
// |           Checksum            |         Urgent Pointer        |
// +-------------------------------+-------------------------------+
// |                           [Options]                           |
// +---------------------------------------------------------------+
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace cygnet::wire {

inline constexpr std::size_t kTcpHeaderOctets = 20;
inline constexpr std::size_t kTcpChecksumOffset = 16;

namespace tcp_flag {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
inline constexpr std::uint8_t kUrg = 0x20;
inline constexpr std::uint8_t kEce = 0x40;
inline constexpr std::uint8_t kCwr = 0x80;
}  // namespace tcp_flag

// Octets of the header with options; nothing if segment does not hold it whole.
[[nodiscard]] std::optional<std::size_t> tcp_header_octets(ByteView segment) noexcept;
[[nodiscard]] inline std::uint32_t tcp_sequence(const std::uint8_t* tcp) noexcept { return load_be32(tcp + 4); }
[[nodiscard]] inline std::uint8_t tcp_flags(const std::uint8_t* tcp) noexcept { return tcp[13]; }

// If segment is a SYN whose MSS option exceeds max_mss, lowers it and mends the checksum. True if something changed.
bool clamp_tcp_mss(MutableByteView segment, std::uint16_t max_mss) noexcept;

}  // namespace cygnet::wire
