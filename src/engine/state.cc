// SPDX-License-Identifier: Apache-2.0
#include "engine/state.h"

#include <algorithm>

namespace cygnet::engine {

EngineState::EngineState(const EngineSettings& given, Random& random)
    : settings(given),
      sad(epochs, random.u64(), &regions),
      spd(epochs, random.u64(), &regions),
      flows(given.flow_cache_entries, random.u64(), regions),
      holding({given.hold_packets_per_policy, given.hold_packets, given.hold_octets,
               std::chrono::seconds(given.hold_timeout_s)}),
      reassembly(given.reassembly_octets, std::chrono::seconds(given.reassembly_timeout_s)),
      dummy_content(random.u64()) {}

void EngineState::raise(const Event& event) {
  ++events_raised;
  if (events.size() >= settings.max_events) {
    ++statistics.events_lost;
    return;
  }
  events.push_back(event);
}

void EngineState::take_turn(Lane& of) {
  turn->take();
  lane = &of;
  of.held = true;
}

void EngineState::give_turn() {
  lane->deadline = first_deadline(*this);
  lane->events_raised = events_raised;
  lane->held = false;
  turn->give();
}

OutboundSa* EngineState::select_sa(const Policy& policy, const PacketSelectors& packet) const {
  return sad.select(policy.spec.served_by(), packet);
}

OutboundSa* EngineState::sa_to(model::PolicyId policy, const Endpoint& peer) const {
  OutboundSa* found = nullptr;
  sad.for_each_serving(policy, [&](OutboundSa& sa) {
    if (found == nullptr && !sa.dead && !sa.spec.standby && sa.remote == peer) found = &sa;
  });
  return found;
}

bool EngineState::has_rival(const OutboundSa& sa) const {
  bool found = false;
  sad.for_each_serving(sa.spec.policy, [&](const OutboundSa& other) {
    found = found || (other.remote.address == sa.remote.address && other.remote.port != sa.remote.port && !other.dead);
  });
  return found;
}

void EngineState::report_soft(SaCommon& sa) {
  if (sa.soft_reported) return;
  sa.soft_reported = true;
  sa.refresh_limits();
  raise(SaExpiringEvent{sa.spec.spi, sa.spec.direction, sa.spec.child, false});
}

void EngineState::kill(SaCommon& sa) {
  if (sa.dead) return;
  sa.dead = true;
  dead.push_back({sa.spec.direction, sa.spec.child, sa.serial});
  raise(SaExpiringEvent{sa.spec.spi, sa.spec.direction, sa.spec.child, true});
  changed(sa);
}

}  // namespace cygnet::engine
