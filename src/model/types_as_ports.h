// SPDX-License-Identifier: Apache-2.0
#pragma once

// RFC 4301 section 4.4.1.1: protocols whose messages have types in place of ports.
#include <cstdint>

namespace cygnet::model {

inline constexpr std::uint8_t kMobilityHeader = 135;  // RFC 6275 section 6.1

// ICMP, ICMPv6, Mobile IPv6. The kernel and PF_KEY have the type where others have the source port, and the code where
// others have the destination port; it is the packet's, whichever way that goes.
[[nodiscard]] constexpr bool has_types_as_ports(std::uint8_t protocol) {
  constexpr std::uint8_t kIcmp = 1;
  constexpr std::uint8_t kIcmpV6 = 58;
  return protocol == kIcmp || protocol == kIcmpV6 || protocol == kMobilityHeader;
}

}  // namespace cygnet::model
