// SPDX-License-Identifier: Apache-2.0
// The way of a packet out through Diet-ESP, for devices to which each octet counts: one packet after the other.
//   1. protect_with_diet  segments, checksums, MSS, size: whole, in fragments, or "too big" (outbound_single.h)
//   2. seal_diet          ESP without trailer, sealed; then the header made shorter
#include <cstring>

#include "engine/diet.h"
#include "engine/outbound_sending.h"
#include "engine/outbound_shape.h"
#include "engine/outbound_single.h"

namespace cygnet::engine {
namespace {

bool seal_diet(const Sending& sending, OutboundSa& sa, ByteView packet, const OuterWay& way) {
  if (!may_send(sending, sa, packet.size())) return false;
  const std::size_t before = wire::kEspHeaderOctets + sa.iv_octets;
  const std::size_t octets = before + packet.size() + sa.icv_octets;
  auto* const esp = octets <= kMaxDatagramOctets ? sending.out.allocate(octets) : nullptr;
  if (esp == nullptr) {
    sending.drop(DropReason::kNoBuffer, packet);
    return false;
  }
  const std::uint64_t sequence = sa.sequence + 1;
  wire::write_esp_header(esp, sa.spi, sequence);
  std::memcpy(esp + before, packet.data(), packet.size());
  crypto::EspJob job{.esp = esp, .octets = octets, .sequence = sequence};
  if (sa.worker == nullptr) sa.begin();
  sa.worker->seal({&job, 1});
  if (!job.ok) {
    sending.drop(DropReason::kNoBuffer, packet);
    return false;
  }
  sa.sequence = sequence;
  if (sending.lane.shared) sending.lane.queue_behind(sa);
  count_for_sa(sending, sa, packet.size());
  SendToPeer out{.local = sa.local, .remote = sa.remote, .udp = sa.udp};
  out.dont_fragment = way.dont_fragment;
  out.tos = way.tos;
  if (sa.has_mark) out.mark = sa.mark;
  out.data = shorten_header({esp, octets}, sa.spec.diet);
  out.segment_octets = out.data.size();
  sending.out.add(sending.index, out);
  count_sent(sending.state, packet.size());
  return true;
}

}  // namespace

void protect_with_diet(const Sending& sending, Parsed& packet, OutboundSa& sa) {
  // The selectors may be of another family than the packet only where a policy of several sends to one SA.
  const auto family = packet.info.is_v4() ? wire::protocol::kIpv4 : wire::protocol::kIpv6;
  if (family != diet_next_header(sa.spec)) {
    sending.drop(DropReason::kPolicyDiscard, packet.bytes);
    return;
  }
  protect_one_by_one(sending, packet, sa, sa.inner_mtu,
                     [&](ByteView whole, const OuterWay& way) { return seal_diet(sending, sa, whole, way); });
}

}  // namespace cygnet::engine
