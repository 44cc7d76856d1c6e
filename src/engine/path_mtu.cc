// SPDX-License-Identifier: Apache-2.0
#include "engine/path_mtu.h"

#include <algorithm>

#include "wire/aggfrag_header.h"
#include "wire/ah_header.h"
#include "wire/esp_header.h"
#include "wire/ip_packet.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

namespace cygnet::engine {

std::uint32_t outer_path_mtu(const OutboundSa& sa, std::uint32_t default_link_mtu) {
  const std::uint32_t link = sa.link_mtu != 0 ? sa.link_mtu : default_link_mtu;
  return sa.learned_mtu != 0 ? std::min(sa.learned_mtu, link) : link;
}

// Of a packet's IP header, what ESP does not carry.
[[nodiscard]] static std::size_t outside_inner_header(const model::SaSpec& spec) {
  if (spec.mode == model::Mode::kTunnel) return 0;
  const auto& inner = spec.mode == model::Mode::kBeet ? spec.inner_local : spec.remote.address;
  return inner.is_v4() ? wire::kIpv4HeaderOctets : wire::kIpv6HeaderOctets;
}

// RFC 4302 has no block to fill: header, AH, packet.
[[nodiscard]] static std::uint32_t derive_inner_mtu_of_ah(const OutboundSa& sa, std::uint32_t default_link_mtu) {
  const auto family = sa.spec.remote.address.family();
  const std::size_t outer_ip = family == Family::kV4 ? wire::kIpv4HeaderOctets : wire::kIpv6HeaderOctets;
  const std::size_t around =
      wire::ah_octets(sa.icv_octets, family) + (sa.spec.mode == model::Mode::kTransport ? 0 : outer_ip);
  const std::size_t path = outer_path_mtu(sa, default_link_mtu);
  std::size_t inner = path > around ? path - around : kMinInnerMtu;
  if (sa.spec.mtu != 0) inner = std::min<std::size_t>(inner, sa.spec.mtu);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(inner, kMinInnerMtu, 65535));
}

// Around the padded payload.
[[nodiscard]] static std::size_t fixed_octets(const OutboundSa& sa) {
  const bool v4 = sa.spec.remote.address.is_v4();
  return (v4 ? wire::kIpv4HeaderOctets : wire::kIpv6HeaderOctets) +
         (sa.spec.udp_encapsulation ? wire::kUdpHeaderOctets : 0) + wire::kEspHeaderOctets + sa.iv_octets +
         sa.icv_octets;
}

TfsSizes derive_tfs_sizes(const OutboundSa& sa, std::uint32_t default_link_mtu) {
  std::size_t path = outer_path_mtu(sa, default_link_mtu);
  const auto wanted = sa.spec.iptfs.packet_octets;
  if (wanted != 0) path = std::min<std::size_t>(path, wanted);
  const std::size_t fixed = fixed_octets(sa);
  // So much has room for a small packet whatever was asked for.
  constexpr std::size_t kLeast = wire::kAggfragReportOctets + kMinInnerMtu;
  const std::size_t padded = std::max(path > fixed ? (path - fixed) / sa.block_octets : 0,
                                      (kLeast + wire::kEspTrailerOctets) / sa.block_octets + 1) *
                             sa.block_octets;
  return {.outer_octets = fixed + padded, .payload_octets = padded - wire::kEspTrailerOctets};
}

// RFC 9347 section 2.2.7: "there is normally no effective MTU"; without fragments, what one payload holds.
[[nodiscard]] static std::uint32_t derive_inner_mtu_of_tfs(const OutboundSa& sa, std::uint32_t default_link_mtu) {
  std::size_t inner = 65535;
  if (!sa.spec.iptfs.fragment) {
    inner = derive_tfs_sizes(sa, default_link_mtu).payload_octets - sa.tfs->header_octets();
  }
  if (sa.spec.mtu != 0) inner = std::min<std::size_t>(inner, sa.spec.mtu);
  return static_cast<std::uint32_t>(std::max<std::size_t>(inner, kMinInnerMtu));
}

// Diet-ESP has no trailer and no block to fill.
[[nodiscard]] static std::uint32_t derive_inner_mtu_of_diet(const OutboundSa& sa, std::uint32_t default_link_mtu) {
  const std::size_t around = fixed_octets(sa) - (wire::kEspSequenceOctets - sa.spec.diet.sn_octets);
  const std::size_t path = outer_path_mtu(sa, default_link_mtu);
  std::size_t inner = path > around ? path - around : kMinInnerMtu;
  if (sa.spec.mtu != 0) inner = std::min<std::size_t>(inner, sa.spec.mtu);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(inner, kMinInnerMtu, 65535));
}

std::uint32_t derive_inner_mtu(const OutboundSa& sa, std::uint32_t default_link_mtu) {
  if (sa.spec.diet.enabled) return derive_inner_mtu_of_diet(sa, default_link_mtu);
  if (sa.spec.protocol == model::SaProtocol::kAh) return derive_inner_mtu_of_ah(sa, default_link_mtu);
  if (sa.tfs != nullptr) return derive_inner_mtu_of_tfs(sa, default_link_mtu);
  const std::size_t fixed = fixed_octets(sa);
  const std::size_t path = outer_path_mtu(sa, default_link_mtu);
  std::size_t inner = kMinInnerMtu;
  if (path > fixed + sa.block_octets) {
    const std::size_t room = (path - fixed) / sa.block_octets * sa.block_octets - wire::kEspTrailerOctets;
    inner = room + outside_inner_header(sa.spec);
  }
  if (sa.spec.mtu != 0) inner = std::min<std::size_t>(inner, sa.spec.mtu);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(inner, kMinInnerMtu, 65535));
}

std::size_t esp_octets(const SaCommon& sa, std::size_t payload_octets) {
  return wire::kEspHeaderOctets + sa.iv_octets + payload_octets +
         wire::esp_pad_octets(payload_octets, sa.block_octets) + wire::kEspTrailerOctets + sa.icv_octets;
}

std::uint16_t mss_for(std::uint32_t inner_mtu, Family inner) {
  const auto headers = static_cast<std::uint32_t>(
      (inner == Family::kV4 ? wire::kIpv4HeaderOctets : wire::kIpv6HeaderOctets) + wire::kTcpHeaderOctets);
  // Below the least MTU of IPv6 there is no smaller MSS to ask for.
  const std::uint32_t mtu = inner == Family::kV6 ? std::max(inner_mtu, kMinPathMtuV6) : inner_mtu;
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu - std::min(mtu, headers), 65535));
}

}  // namespace cygnet::engine
