// SPDX-License-Identifier: Apache-2.0
#pragma once

// IP Payload Compression (RFC 3173 section 3.3).
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  Next Header  |     Flags     | Compression Parameter Index   |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#include <cstdint>

#include "base/bytes.h"

namespace cygnet::wire {

inline constexpr std::size_t kIpcompHeaderOctets = 4;
// "Values in the range 256-61439 are used for dynamic negotiation".
inline constexpr std::uint16_t kFirstNegotiatedCpi = 256;
inline constexpr std::uint16_t kLastNegotiatedCpi = 61439;
[[nodiscard]] constexpr bool is_negotiated_cpi(std::uint16_t cpi) {
  return cpi >= kFirstNegotiatedCpi && cpi <= kLastNegotiatedCpi;
}
// IANA "IPComp Transform IDs": what IKE negotiates (RFC 7296 section 3.10.1).
inline constexpr std::uint8_t kIpcompDeflate = 2;

inline void write_ipcomp_header(std::uint8_t* to, std::uint8_t next_header, std::uint16_t cpi) {
  to[0] = next_header;
  to[1] = 0;  // "reserved for future use ... MUST be set to zero"
  store_be16(to + 2, cpi);
}

}  // namespace cygnet::wire
