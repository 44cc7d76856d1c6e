// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/cpu_follower.h"

namespace cygnet::daemon {

std::optional<CpuFollower> CpuFollower::make() {
  const auto allowed = io::allowed_cpus();
  auto reader = io::CpuReader::open();
  if (!allowed || CPU_COUNT(&*allowed) < 2 || !reader) return std::nullopt;
  return CpuFollower(std::move(*reader));
}

void CpuFollower::look(Instant now, std::uint64_t bursts) {
  const auto account = reader_.account();
  if (!account) return;
  const auto before = placement_.cpu();
  switch (placement_.look(now, {account->ran, account->waited, account->stints}, bursts)) {
    case Placement::Step::kStay: break;
    case Placement::Step::kCount: count(now); break;
    case Placement::Step::kRelease:
      if (!is_at(before) || !io::allow_cpus(whole_)) placement_.refused(now);
      break;
  }
}

void CpuFollower::count(Instant now) {
  const auto before = placement_.cpu();
  if (before && !is_at(before)) return placement_.refused(now);
  // Asked each time: whoever looks after this machine may have changed it.
  if (!before) {
    const auto allowed = io::allowed_cpus();
    if (!allowed || CPU_COUNT(&*allowed) < 2) return;
    whole_ = *allowed;
  }
  std::vector<CpuArrivals> counts;
  for (const auto& one : reader_.arrivals()) {
    counts.push_back({one.cpu, one.cpu < CPU_SETSIZE && CPU_ISSET(one.cpu, &whole_), one.count});
  }
  if (const auto cpu = placement_.arrived(now, counts); cpu && !io::allow_cpus(io::only_cpu(*cpu))) {
    if (before) (void)io::allow_cpus(whole_);
    placement_.refused(now);
  }
}

bool CpuFollower::is_at(std::optional<std::uint16_t> cpu) const {
  const auto allowed = io::allowed_cpus();
  const auto own = cpu ? io::only_cpu(*cpu) : whole_;
  return allowed && CPU_EQUAL(&*allowed, &own);
}

}  // namespace cygnet::daemon
