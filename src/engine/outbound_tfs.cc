// SPDX-License-Identifier: Apache-2.0
// The way of a packet into the queue of IP-TFS (RFC 9347). What comes out of it is sealed in outbound.cc.
#include "engine/fragment.h"
#include "engine/outbound_sending.h"
#include "engine/path_mtu.h"
#include "engine/segment.h"
#include "wire/tcp_header.h"

namespace cygnet::engine {
namespace {

[[nodiscard]] bool push(const Sending& sending, OutboundSa& sa, ByteView packet) {
  if (!sa.tfs->push(packet, sending.now)) {
    sending.drop(DropReason::kTfsQueueFull, packet);
    return false;
  }
  count_sent(sending.state, packet.size());
  return true;
}

// Each piece of a plan; the plan knows how to write it behind an IP header.
template <typename Plan, typename Write>
[[nodiscard]] bool push_pieces(const Sending& sending, OutboundSa& sa, const Plan& plan, const Write& write) {
  bool any = false;
  for (std::size_t i = 0; i < plan.count(); ++i) {
    const auto piece = sending.state.ipcomp.scratch(plan.packet_octets(i));
    write(i, piece.data());
    any = push(sending, sa, piece) || any;
  }
  return any;
}

[[nodiscard]] bool queue_segments(const Sending& sending, const Parsed& packet, OutboundSa& sa) {
  const auto plan = Segmentation::plan(packet.bytes, packet.info, packet.offload, sa.inner_mtu);
  if (!plan) {
    sending.drop(DropReason::kMalformedIp, packet.bytes);
    return false;
  }
  if (plan->packet_octets(0) > sa.inner_mtu) {
    tell_too_big(sending, packet, sa.inner_mtu);
    return false;
  }
  return push_pieces(sending, sa, *plan, [&](std::size_t i, std::uint8_t* to) { plan->write(i, to, true); });
}

// RFC 9347 section 2.2.6: where packets are not cut by the tunnel, too large ones are treated as without it.
[[nodiscard]] bool queue_oversize(const Sending& sending, const Parsed& packet, OutboundSa& sa) {
  const bool may_cut = packet.info.is_v4() && !packet.info.dont_fragment;
  const auto plan = may_cut ? Ipv4Fragmentation::plan(packet.bytes, packet.info, sa.inner_mtu) : std::nullopt;
  if (!plan) {
    tell_too_big(sending, packet, sa.inner_mtu);
    return false;
  }
  return push_pieces(sending, sa, *plan, [&](std::size_t i, std::uint8_t* to) { plan->write(i, to); });
}

}  // namespace

bool queue_for_tfs(const Sending& sending, Parsed& packet, OutboundSa& sa) {
  if (packet.offload.gso != Offload::Gso::kNone) return queue_segments(sending, packet, sa);
  if (!complete_checksum(packet.bytes, packet.offload)) {
    sending.drop(DropReason::kMalformedIp, packet.bytes);
    return false;
  }
  if (sa.clamp_mss && packet.info.protocol == wire::protocol::kTcp && !packet.info.fragment) {
    (void)wire::clamp_tcp_mss(packet.bytes.subspan(packet.info.header_octets),
                              mss_for(sa.inner_mtu, packet.info.family));
  }
  return packet.info.total_octets <= sa.inner_mtu ? push(sending, sa, packet.bytes)
                                                  : queue_oversize(sending, packet, sa);
}

TfsTurn begin_tfs(EngineState& state, OutboundSa& sa, Instant now) {
  const auto sizes = derive_tfs_sizes(sa, state.settings.link_mtu);
  sa.tfs->set_sizes(sizes.outer_octets, sizes.payload_octets);
  // RFC 9347 section 2.2.5: neither DF, nor DSCP, nor ECN of inner packets shows outside.
  TfsTurn turn{.way = {.tos = 0, .dont_fragment = sa.df != model::DfPolicy::kClear},
               .idle = is_superseded(sa),
               .heard = {},
               .used = sa.last_used};
  const auto* inbound = sa.tfs->carries_reports() ? state.sad.inbound_of(sa.spec.child) : nullptr;
  if (inbound != nullptr && inbound->tfs) turn.heard = inbound->tfs->report(now);
  return turn;
}

void end_tfs(EngineState& state, OutboundSa& sa, const TfsTurn& turn, Instant now) {
  // Nothing but padding: the mapping of a NAT lives on by it, but nobody used the SA and waits for an answer.
  if (!turn.carried && sa.last_used != turn.used) {
    sa.last_used = turn.used;
    sa.keepalive_at = now;
  }
  state.count(DropReason::kTooBig, sa.tfs->take_oversize());
  state.schedule(sa);
}

}  // namespace cygnet::engine
