// SPDX-License-Identifier: Apache-2.0
// In from one of several peers that share an address behind a NAT.
#include "engine/inbound_run.h"
#include "engine/selectors.h"
#include "engine/shared_addresses.h"

namespace cygnet::engine {

// RFC 3948 section 5.2: several peers behind one NAT have one address here; what is answered goes to who asked.
bool InboundRun::give_flow_to_sender(MutableByteView packet, const wire::IpPacketInfo& info, std::uint32_t index) {
  const auto flow = SharedAddresses::Flow::of(packet, info, true);
  const auto lives = [&](const Endpoint& peer) {
    return sa_->sibling != nullptr && state_.sa_to(sa_->sibling->spec.policy, peer) != nullptr;
  };
  const auto port = state_.shared.on_inbound(sa_->spec.remote, flow, now_, lives);
  // Full of the flows of peers that share nothing: they lose nothing by it.
  if (!port && (sa_->sibling == nullptr || !state_.has_rival(*sa_->sibling))) return true;
  // What is answered must be protected by the policy of this SA: its port has to be in the selectors.
  const bool changed = port && *port != flow.remote_port;
  const auto& selectors = sa_->spec.remote_selectors;
  if (!port || (changed && !selectors.empty() && !matches_any(selectors, flow.remote, flow.protocol, true, *port))) {
    drop(index, DropReason::kSharedAddress, packet);
    return false;
  }
  if (changed && info.has_ports) set_port(packet, info, true, *port, false);
  return true;
}

}  // namespace cygnet::engine
