// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every way of protecting a packet shares (outbound.cc, outbound_ah.cc): limits, counters, "too big".
#include <cstdint>

#include "engine/outbound_shape.h"
#include "engine/state.h"

namespace cygnet::engine {

// The packet being worked on, and where its verdicts go.
struct Sending {
  EngineState& state;
  Instant now;
  Verdicts& out;
  Lane& lane;
  std::uint32_t index = Verdict::kNoPacket;

  void drop(DropReason reason, ByteView data = {}) const { state.drop(out, index, reason, data); }
};

// may_send() where a limit is near.
[[nodiscard]] bool may_still_send(const Sending& sending, OutboundSa& sa, std::size_t payload_octets);
// Whether the SA may carry another packet; if not, it was dropped.
[[nodiscard]] inline bool may_send(const Sending& sending, OutboundSa& sa, std::size_t payload_octets) {
  return (!sa.dead && sa.is_quiet(payload_octets)) || may_still_send(sending, sa, payload_octets);
}
// A packet went: its octets count for the SA's lifetime.
inline void count_for_sa(const Sending& sending, OutboundSa& sa, std::size_t payload_octets) {
  sa.packets += 1;
  sa.bytes += payload_octets;
  sa.last_used = sending.now;
  if (sa.packets < sa.quiet_packets && sa.bytes < sa.quiet_bytes) return;
  if (sa.packets >= sa.limits.soft_packets || sa.bytes >= sa.limits.soft_bytes) sending.state.report_soft(sa);
}
// Clear-text packets, for the statistics.
inline void count_sent(EngineState& state, std::size_t packet_octets) {
  ++state.statistics.packets_out;
  state.statistics.bytes_out += packet_octets;
}
// The sender hears what would fit (RFC 1191, RFC 8201); the packet is dropped.
void tell_too_big(const Sending& sending, const Parsed& packet, std::uint32_t mtu);

// Leaves in the clear (outbound_bypass.cc), complete and cut to what the link takes.
void pass_in_clear(const Sending& sending, Parsed& packet);

// Protects with AH (outbound_ah.cc): whole packets, and in transport mode no fragments.
void protect_with_ah(const Sending& sending, Parsed& packet, OutboundSa& sa);
// AH around one whole IP packet, which is sent, cut if the path wants it. False: dropped, and told.
bool wrap_with_ah(const Sending& sending, OutboundSa& sa, ByteView packet, const OuterWay& way);
// Protects with Diet-ESP (outbound_diet.cc), in tunnel mode.
void protect_with_diet(const Sending& sending, Parsed& packet, OutboundSa& sa);
// ESP, and AH of this group around it (outbound_bundle.cc).
void protect_with_bundle(const Sending& sending, Parsed& packet, OutboundSa& esp, model::PolicyId ah_group);

// Transport mode in UDP: the SA of the peer that the packet is for, where several have the address (RFC 3948 section
// 5.2); its port may be changed. Null: dropped, and told.
[[nodiscard]] OutboundSa* sa_of_sharer(const Sending& sending, Parsed& packet, OutboundSa& sa);
// IP-TFS (outbound_tfs.cc): the packet waits for its turn. False: dropped, and told.
[[nodiscard]] bool queue_for_tfs(const Sending& sending, Parsed& packet, OutboundSa& sa);
// How payloads of an SA go now.
struct TfsTurn {
  OuterWay way;
  bool idle = false;
  wire::AggfragReport heard;
  Instant used{};        // of the SA, before
  bool carried = false;  // more than padding went
};
[[nodiscard]] TfsTurn begin_tfs(EngineState& state, OutboundSa& sa, Instant now);
void end_tfs(EngineState& state, OutboundSa& sa, const TfsTurn& turn, Instant now);

}  // namespace cygnet::engine
