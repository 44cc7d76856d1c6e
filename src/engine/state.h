// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything the engine knows, shared by the files that work on it: outbound.cc, inbound.cc, control.cc, timers.cc.
#include <array>
#include <cstdint>
#include <deque>
#include <queue>
#include <string>
#include <vector>

#include "base/drop_reason.h"
#include "base/random.h"
#include "base/time.h"
#include "crypto/esp_cipher.h"
#include "engine/engine.h"
#include "engine/epochs.h"
#include "engine/expected_spis.h"
#include "engine/flow_cache.h"
#include "engine/flow_regions.h"
#include "engine/fragment_policy.h"
#include "engine/hold_queue.h"
#include "engine/lane.h"
#include "engine/reassembly.h"
#include "engine/sad.h"
#include "engine/shared_addresses.h"
#include "engine/spd.h"

namespace cygnet::engine {

// Entries of the timer heap. One is live per SA: the one whose time equals the SA's timer_at.
struct TimerEntry {
  Instant when;
  model::Direction direction{};
  model::ChildId child;
  std::uint64_t serial = 0;
  bool operator>(const TimerEntry& other) const { return when > other.when; }
};

struct DeadSa {
  model::Direction direction{};
  model::ChildId child;
  std::uint64_t serial = 0;
};

struct EngineState {
  EngineState(const EngineSettings& given, Random& random);

  EngineSettings settings;
  Epochs epochs;
  FlowRegions regions;  // told by SAD and SPD of each change
  Sad sad;
  Spd spd;
  FlowCache flows;
  FragmentPolicy fragments;
  HoldQueue holding;
  Reassembly reassembly;
  Statistics statistics;
  std::deque<Event> events;
  std::vector<std::string> devices;
  bool merges_udp = false;
  bool any_urgent = false;  // there has been an SA with traffic=latency
  std::priority_queue<TimerEntry, std::vector<TimerEntry>, std::greater<>> timers;
  std::vector<DeadSa> dead;  // to be removed at the next on_timer()
  bool try_held = false;     // held packets may be free to go
  std::uint64_t next_serial = 1;
  ExpectedSpis expected;
  std::vector<EarlyPacket> early;  // whose SA has come: to be opened at the next on_timer()
  // Unknown SPIs are told once a second for each slot that a peer's address falls into, and no more often than
  // unknown_spi_tokens allow: anybody can send them.
  std::array<Instant, 256> unknown_spi_told{};
  std::uint32_t unknown_spi_tokens = 0;
  Instant unknown_spi_refilled = Instant::min();
  std::uint32_t next_fragment_id = 0;  // IPv6 packets that were put together and cut again
  SeededRandom dummy_content;          // filling of dummy packets: no secret
  // Who works on packets: own, while there is one thread; else that of the thread whose turn it is.
  Lane own;
  Lane* lane = &own;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::unique_ptr<Lane>> flying;  // see Engine::open_flight()
  Turn* turn = nullptr;
  std::uint64_t tickets = 0;
  std::uint64_t events_raised = 0;
  StageObserver* observer = nullptr;
  Ipcomp ipcomp;
  SharedAddresses shared;
  std::size_t bundles = 0;  // policies that want AH around ESP

  void count(DropReason reason, std::uint64_t packets = 1) {
    statistics.drops[static_cast<std::size_t>(reason)] += packets;
  }
  void drop(Verdicts& out, std::uint32_t packet, DropReason reason, ByteView data = {}) {
    count(reason);
    out.add(packet, Drop{reason, data});
  }
  void done(Stage stage) {
    if (observer != nullptr) observer->on_stage_done(stage);
  }
  void raise(const Event& event);
  // A lane that others are beside: its turn begins and ends. What the lane found of the state may have changed between.
  void take_turn(Lane& of);
  void give_turn();
  // Which flows the SA takes has changed.
  void changed(const SaCommon& sa) { regions.touch(sa.spec.remote_selectors); }
  void came_into_use(OutboundSa& sa) {
    sad.link_clones(sa);
    changed(sa);
  }
  // An SA or policy came into use: what waits tries again at the next on_timer().
  void held_may_go() { try_held = !holding.empty(); }
  // The newest SA of the policy that is in use and takes this packet.
  [[nodiscard]] OutboundSa* select_sa(const Policy& policy, const PacketSelectors& packet) const;
  // An outbound SA of this policy with this peer.
  [[nodiscard]] OutboundSa* sa_to(model::PolicyId policy, const Endpoint& peer) const;
  // Another peer with the same address takes the same packets.
  [[nodiscard]] bool has_rival(const OutboundSa& sa) const;
  // A lifetime by octets or packets was reached.
  void report_soft(SaCommon& sa);
  void kill(SaCommon& sa);
  // The SA's next deadline may have come nearer.
  template <typename Sa>
  void schedule(Sa& sa);
};

// Next thing that time alone brings about for this SA.
[[nodiscard]] Instant deadline_of(const EngineState& state, const InboundSa& sa);
[[nodiscard]] Instant deadline_of(const EngineState& state, const OutboundSa& sa);

template <typename Sa>
void EngineState::schedule(Sa& sa) {
  // A deadline that has moved away is found when the entry there is comes up: so the heap does not grow with packets.
  const Instant when = deadline_of(*this, sa);
  if (when >= sa.timer_at) return;
  // The entry that is overtaken stays in the heap, and counts again when nothing is in front of it any more.
  if (sa.timer_at != kNever && (sa.parked_at == kNever || sa.parked_at < sa.timer_at)) sa.parked_at = sa.timer_at;
  sa.timer_at = when;
  if (when == sa.parked_at) return;
  timers.push({when, sa.spec.direction, sa.spec.child, sa.serial});
}

// One burst through the engine; see the .cc of each.
// apart: it is a shared lane's turn, and is given up while the ciphers work.
void run_outbound(EngineState& state, std::span<OutPacket> packets, bool apart, Instant now, Verdicts& out);
// Held packets try again; those that still find no SA wait on.
void release_held(EngineState& state, Instant now, Verdicts& out);
void run_inbound(EngineState& state, std::span<InPacket> packets, bool apart, Instant now, Verdicts& out);
void run_inbound_urgent(EngineState& state, std::span<InPacket> packets, Instant now, Verdicts& out);
// What a lane that flies had left to ciphers elsewhere has come back.
void finish_outbound(EngineState& state, Lane& lane);
void finish_inbound(EngineState& state, Lane& lane);
// Packets that came before their SA was there.
void release_early(EngineState& state, Instant now, Verdicts& out);
[[nodiscard]] Result<void> run_dummy(EngineState& state, OutboundSa& sa, std::size_t octets, Instant now,
                                     Verdicts& out);
// IP-TFS: sends what is due; delivers what waited too long for what is in front of it.
void run_tfs(EngineState& state, OutboundSa& sa, Instant now, Verdicts& out);
void give_up_waiting(EngineState& state, InboundSa& sa, Instant now, Verdicts& out);
void run_timers(EngineState& state, Instant now, Verdicts& out);
[[nodiscard]] Instant first_deadline(const EngineState& state);
[[nodiscard]] bool learn_path_mtu(EngineState& state, const OuterTooBig& too_big, Instant now);

}  // namespace cygnet::engine
