// SPDX-License-Identifier: Apache-2.0
#pragma once

// The way of a packet out where packets are protected one after the other (AH, Diet-ESP, bundles): super-packets are
// cut into segments; others go whole, whole and in fragments of the outer packet, in fragments, or not at all, and the
// sender hears what would fit.
#include <algorithm>
#include <cstdint>

#include "engine/fragment.h"
#include "engine/outbound_sending.h"
#include "engine/outbound_shape.h"
#include "engine/path_mtu.h"
#include "engine/segment.h"
#include "wire/ipv6_header.h"
#include "wire/tcp_header.h"

namespace cygnet::engine {

// All pieces of a plan until one cannot go. write(i, to): piece i.
template <typename Plan, typename Write, typename Seal>
void protect_pieces(const Sending& sending, const Plan& plan, const OuterWay& way, const Write& write,
                    const Seal& seal) {
  for (std::size_t i = 0; i < plan.count(); ++i) {
    const auto piece = sending.state.ipcomp.scratch(plan.packet_octets(i));
    write(i, piece.data());
    if (!seal(piece, way)) return;
  }
}

template <typename Seal>
void protect_segments(const Sending& sending, const Parsed& packet, const OutboundSa& sa, std::uint32_t mtu,
                      const Seal& seal) {
  const auto plan = Segmentation::plan(packet.bytes, packet.info, packet.offload, mtu);
  if (!plan) {
    sending.drop(DropReason::kMalformedIp, packet.bytes);
  } else if (plan->packet_octets(0) > mtu) {
    tell_too_big(sending, packet, mtu);
  } else {
    protect_pieces(
        sending, *plan, outer_way(packet, sa), [&](std::size_t i, std::uint8_t* to) { plan->write(i, to, true); },
        seal);
  }
}

template <typename Seal>
void protect_fragments(const Sending& sending, const Parsed& packet, const OutboundSa& sa, std::uint32_t mtu,
                       const Seal& seal) {
  const auto plan = Ipv4Fragmentation::plan(packet.bytes, packet.info, mtu);
  if (!plan) {
    tell_too_big(sending, packet, mtu);
    return;
  }
  protect_pieces(
      sending, *plan, outer_way(packet, sa), [&](std::size_t i, std::uint8_t* to) { plan->write(i, to); }, seal);
}

// mtu: of clear-text packets. bool seal(ByteView packet, const OuterWay& way): of one whole clear-text packet; false:
// it was dropped, and told.
template <typename Seal>
void protect_one_by_one(const Sending& sending, Parsed& packet, const OutboundSa& sa, std::uint32_t mtu,
                        const Seal& seal) {
  if (packet.offload.gso != Offload::Gso::kNone) {
    protect_segments(sending, packet, sa, mtu, seal);
    return;
  }
  if (!complete_checksum(packet.bytes, packet.offload)) {
    sending.drop(DropReason::kMalformedIp, packet.bytes);
    return;
  }
  if (sa.clamp_mss && packet.info.protocol == wire::protocol::kTcp && !packet.info.fragment) {
    (void)wire::clamp_tcp_mss(packet.bytes.subspan(packet.info.header_octets), mss_for(mtu, packet.info.family));
  }
  const auto way = outer_way(packet, sa);
  if (packet.info.total_octets <= mtu) {
    (void)seal(packet.bytes, way);
  } else if (outer_may_fragment(packet, sa)) {
    (void)seal(packet.bytes, OuterWay{.tos = way.tos, .dont_fragment = false});
  } else if (packet.info.is_v4() && !packet.info.dont_fragment && !sa.transport) {
    protect_fragments(sending, packet, sa, mtu, seal);
  } else {
    tell_too_big(sending, packet, packet.info.is_v4() ? mtu : std::max(mtu, wire::kIpv6MinimumMtu));
  }
}

}  // namespace cygnet::engine
