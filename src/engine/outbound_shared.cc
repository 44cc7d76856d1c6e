// SPDX-License-Identifier: Apache-2.0
// Out to one of several peers that share an address behind a NAT (RFC 3948 section 5.2).
#include "engine/outbound_sending.h"
#include "engine/shared_addresses.h"

namespace cygnet::engine {
OutboundSa* sa_of_sharer(const Sending& sending, Parsed& packet, OutboundSa& sa) {
  auto& state = sending.state;
  const auto owner = state.shared.owner_of(SharedAddresses::Flow::of(packet.bytes, packet.info, false), sending.now);
  if (!owner) {
    // Nobody spoke of it: with one peer there is no question.
    if (!state.has_rival(sa)) return &sa;
    sending.drop(DropReason::kSharedAddress, packet.bytes);
    return nullptr;
  }
  auto* chosen = owner->peer == sa.remote ? &sa : state.sa_to(sa.spec.policy, owner->peer);
  if (chosen == nullptr) {
    sending.drop(DropReason::kSharedAddress, packet.bytes);
    return nullptr;
  }
  const bool has_ports = packet.info.has_ports && !packet.info.fragment &&
                         (packet.info.protocol == wire::protocol::kTcp || packet.info.protocol == wire::protocol::kUdp);
  if (has_ports && owner->remote_port != packet.info.destination_port) {
    const bool partial = packet.offload.needs_checksum || packet.offload.gso != Offload::Gso::kNone;
    set_port(packet.bytes, packet.info, false, owner->remote_port, partial);
    packet.info.destination_port = owner->remote_port;
  }
  return chosen;
}

}  // namespace cygnet::engine
