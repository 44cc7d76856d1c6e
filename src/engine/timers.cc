// SPDX-License-Identifier: Apache-2.0
// What time alone brings about: ages, keepalives, path MTU aging, waiting packets and fragments.
#include <algorithm>

#include "engine/path_mtu.h"
#include "engine/state.h"
#include "wire/udp_header.h"

namespace cygnet::engine {
namespace {

[[nodiscard]] Instant after(Instant since, std::uint64_t seconds) {
  // A lifetime of centuries is one without end.
  constexpr std::uint64_t kLongest = 1ULL << 32U;
  return seconds == 0 || seconds > kLongest ? kNever : since + std::chrono::seconds(seconds);
}

[[nodiscard]] Instant age_deadline(const SaCommon& sa) {
  if (sa.dead) return kNever;
  const Instant hard = after(sa.installed, sa.spec.lifetime.hard_age_s);
  const Instant soft = after(sa.installed, sa.spec.lifetime.soft_age_s);
  return sa.soft_reported ? hard : std::min(hard, soft);
}

[[nodiscard]] bool wants_keepalive(const OutboundSa& sa) {
  return sa.spec.udp_encapsulation && sa.spec.keepalive_s != 0 && !sa.dead;
}

void check_ages(EngineState& state, SaCommon& sa, Instant now) {
  if (sa.dead) return;
  if (after(sa.installed, sa.spec.lifetime.hard_age_s) <= now) {
    state.kill(sa);
  } else if (after(sa.installed, sa.spec.lifetime.soft_age_s) <= now) {
    state.report_soft(sa);
  }
}

void send_keepalive(EngineState& state, OutboundSa& sa, Instant now, Verdicts& out) {
  // RFC 3948 section 4: "if no other packet to the peer has been sent in M seconds".
  if (!wants_keepalive(sa) || after(sa.last_sent(), sa.spec.keepalive_s) > now) return;
  sa.keepalive_at = now;
  auto* octet = out.allocate(1);
  if (octet == nullptr) {
    state.count(DropReason::kNoBuffer);
    return;
  }
  *octet = wire::kNatKeepalive;
  out.add(Verdict::kNoPacket, SendToPeer{.local = sa.spec.local,
                                         .remote = sa.spec.remote,
                                         .udp = true,
                                         .mark = sa.spec.mark,
                                         .data = {octet, 1},
                                         .segment_octets = 1});
}

void age_path_mtu(EngineState& state, OutboundSa& sa, Instant now) {
  if (sa.learned_mtu == 0 || after(sa.learned_at, state.settings.path_mtu_age_s) > now) return;
  sa.learned_mtu = 0;
  sa.inner_mtu = derive_inner_mtu(sa, state.settings.link_mtu);
}

// When IP-TFS has something to send, be it padding.
[[nodiscard]] Instant sends_tfs_by_itself(const OutboundSa& sa) {
  if (!sa.tfs || sa.dead || sa.spec.standby) return kNever;
  return sa.tfs->next_deadline(is_superseded(sa));
}

// The entry is that of the SA's next deadline; others are left over.
[[nodiscard]] bool is_live(SaCommon* sa, const TimerEntry& entry) {
  if (sa == nullptr || sa->serial != entry.serial) return false;
  if (sa->parked_at == entry.when) sa->parked_at = kNever;
  return sa->timer_at == entry.when;
}

void run_entry(EngineState& state, const TimerEntry& entry, Instant now, Verdicts& out) {
  if (entry.direction == model::Direction::kInbound) {
    auto* sa = state.sad.inbound_of(entry.child);
    if (!is_live(sa, entry)) return;
    sa->timer_at = kNever;
    check_ages(state, *sa, now);
    if (sa->tfs && sa->tfs->next_deadline() <= now) give_up_waiting(state, *sa, now, out);
    state.schedule(*sa);
    return;
  }
  auto* sa = state.sad.outbound_of(entry.child);
  if (!is_live(sa, entry)) return;
  sa->timer_at = kNever;
  check_ages(state, *sa, now);
  age_path_mtu(state, *sa, now);
  if (sends_tfs_by_itself(*sa) <= now) run_tfs(state, *sa, now, out);
  send_keepalive(state, *sa, now, out);
  state.schedule(*sa);
}

void bury_dead(EngineState& state) {
  for (const auto& dead : std::exchange(state.dead, {})) {
    if (dead.direction == model::Direction::kInbound) {
      auto* sa = state.sad.inbound_of(dead.child);
      if (sa != nullptr && sa->serial == dead.serial) state.sad.erase(*sa);
    } else {
      auto* sa = state.sad.outbound_of(dead.child);
      if (sa != nullptr && sa->serial == dead.serial) state.sad.erase(*sa);
    }
  }
}

void tend_held(EngineState& state, Instant now, Verdicts& out) {
  std::vector<model::PolicyId> done;
  const std::size_t lost = state.holding.expire(now, done);
  for (std::size_t i = 0; i < lost; ++i) state.drop(out, Verdict::kNoPacket, DropReason::kAcquireTimeout);
  if (std::exchange(state.try_held, false)) {
    const auto waiting = state.holding.policies();
    release_held(state, now, out);
    const auto still = state.holding.policies();
    std::ranges::set_difference(waiting, still, std::back_inserter(done));
  }
  // The next packet may ask again.
  for (const auto id : done) {
    if (auto* policy = state.spd.find(id)) policy->acquire_again = {};
  }
}

}  // namespace

Instant deadline_of(const EngineState&, const InboundSa& sa) {
  const Instant next = age_deadline(sa);
  return sa.tfs && !sa.dead ? std::min(next, sa.tfs->next_deadline()) : next;
}

Instant deadline_of(const EngineState& state, const OutboundSa& sa) {
  Instant next = age_deadline(sa);
  if (wants_keepalive(sa)) next = std::min(next, after(sa.last_sent(), sa.spec.keepalive_s));
  if (sa.learned_mtu != 0) next = std::min(next, after(sa.learned_at, state.settings.path_mtu_age_s));
  if (sa.tfs) next = std::min(next, sends_tfs_by_itself(sa));
  return next;
}

Instant first_deadline(const EngineState& state) {
  if (!state.dead.empty() || !state.early.empty() || (state.try_held && !state.holding.empty())) return Instant::min();
  Instant next =
      std::min({state.holding.next_deadline(), state.reassembly.next_deadline(), state.expected.next_deadline()});
  if (!state.timers.empty()) next = std::min(next, state.timers.top().when);
  return next;
}

void run_timers(EngineState& state, Instant now, Verdicts& out) {
  while (!state.timers.empty() && state.timers.top().when <= now) {
    const TimerEntry entry = state.timers.top();
    state.timers.pop();
    run_entry(state, entry, now, out);
  }
  bury_dead(state);
  tend_held(state, now, out);
  release_early(state, now, out);
  for (std::size_t lost = state.expected.expire(now); lost > 0; --lost) {
    state.drop(out, Verdict::kNoPacket, DropReason::kUnknownSpi);
  }
  for (std::size_t lost = state.reassembly.expire(now); lost > 0; --lost) {
    state.drop(out, Verdict::kNoPacket, DropReason::kFragmentTimeout);
  }
}

}  // namespace cygnet::engine
