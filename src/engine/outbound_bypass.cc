// SPDX-License-Identifier: Apache-2.0
// BYPASS: packets that leave in the clear.
#include "engine/fragment.h"
#include "engine/outbound_sending.h"
#include "engine/segment.h"
#include "engine/state.h"

namespace cygnet::engine {
namespace {

// It came in fragments, and goes on in fragments.
void pass_in_fragments(const Sending& sending, const Parsed& packet) {
  const auto each = [&](const auto& plan) {
    for (std::size_t i = 0; plan && i < plan->count(); ++i) {
      auto* to = sending.out.allocate(plan->packet_octets(i));
      if (to == nullptr) return sending.drop(DropReason::kNoBuffer);
      plan->write(i, to);
      ++sending.state.statistics.bypassed;
      sending.out.add(sending.index, Bypass{packet.device, {to, plan->packet_octets(i)}});
    }
    if (!plan) sending.drop(DropReason::kTooBig, packet.bytes);
  };
  if (packet.info.is_v4()) {
    each(Ipv4Fragmentation::plan(packet.bytes, packet.info, sending.state.settings.link_mtu));
  } else {
    each(Ipv6Fragmentation::plan(packet.bytes, sending.state.settings.link_mtu, ++sending.state.next_fragment_id));
  }
}

}  // namespace

void pass_in_clear(const Sending& sending, Parsed& packet) {
  if (packet.offload.gso == Offload::Gso::kNone) {
    if (!complete_checksum(packet.bytes, packet.offload)) {
      sending.drop(DropReason::kMalformedIp, packet.bytes);
      return;
    }
    if (packet.reassembled) {
      pass_in_fragments(sending, packet);
      return;
    }
    ++sending.state.statistics.bypassed;
    sending.out.add(sending.index, Bypass{packet.device, packet.bytes});
    return;
  }
  const auto plan = Segmentation::plan(packet.bytes, packet.info, packet.offload, sending.state.settings.link_mtu);
  if (!plan) {
    sending.drop(DropReason::kMalformedIp, packet.bytes);
    return;
  }
  for (std::size_t i = 0; i < plan->count(); ++i) {
    auto* to = sending.out.allocate(plan->packet_octets(i));
    if (to == nullptr) {
      sending.drop(DropReason::kNoBuffer);
      return;
    }
    plan->write(i, to, true);
    ++sending.state.statistics.bypassed;
    sending.out.add(sending.index, Bypass{packet.device, {to, plan->packet_octets(i)}});
  }
}

}  // namespace cygnet::engine
