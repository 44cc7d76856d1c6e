// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which clear-text size fits through an SA (RFC 4301 section 8.2).
#include <cstdint>

#include "base/address.h"
#include "engine/sad.h"

namespace cygnet::engine {

inline constexpr std::uint32_t kMinPathMtuV4 = 576;   // RFC 791: every host takes that much
inline constexpr std::uint32_t kMinPathMtuV6 = 1280;  // RFC 8200 section 5
inline constexpr std::uint32_t kMinInnerMtu = 68;     // RFC 791: every module forwards that much

// Outer path MTU in use: the smaller of link and learned one.
[[nodiscard]] std::uint32_t outer_path_mtu(const OutboundSa& sa, std::uint32_t default_link_mtu);
// Tunnel mode: whole inner packet. Transport mode: the packet with an IP header like the outer one.
[[nodiscard]] std::uint32_t derive_inner_mtu(const OutboundSa& sa, std::uint32_t default_link_mtu);
// IP-TFS (RFC 9347): every outer packet has the same size.
struct TfsSizes {
  std::size_t outer_octets = 0;    // of the whole IP packet
  std::size_t payload_octets = 0;  // of the AGGFRAG payload in it
};
[[nodiscard]] TfsSizes derive_tfs_sizes(const OutboundSa& sa, std::uint32_t default_link_mtu);
// From the ESP header to the ICV for this much payload (inner packet, or upper-layer data in transport mode).
[[nodiscard]] std::size_t esp_octets(const SaCommon& sa, std::size_t payload_octets);
// MSS that fits, for a SYN of this family (RFC 9293 section 3.7.1: without options).
[[nodiscard]] std::uint16_t mss_for(std::uint32_t inner_mtu, Family inner);

}  // namespace cygnet::engine
