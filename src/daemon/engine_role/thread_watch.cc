// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/thread_watch.h"

#include <utility>

#include "io/clock.h"
#include "io/cpu_time.h"

namespace cygnet::daemon {

void ThreadWatch::add(std::string work, pthread_t thread, std::optional<std::uint16_t> cpu) {
  if (all_.empty()) last_ = io::SystemClock::now();
  sadb::EngineThread state{.work = std::move(work), .pinned = cpu.has_value(), .cpu = cpu.value_or(0)};
  all_.push_back({.state = std::move(state), .thread = thread, .used = io::cpu_time_of(thread)});
}

void ThreadWatch::keeps_to(std::size_t thread, std::optional<std::uint16_t> cpu) {
  all_[thread].state.pinned = cpu.has_value();
  all_[thread].state.cpu = cpu.value_or(0);
}

std::vector<sadb::EngineThread> ThreadWatch::look(Instant now) {
  std::vector<sadb::EngineThread> found;
  const auto passed = std::max<Duration>(now - std::exchange(last_, now), std::chrono::microseconds(1));
  for (auto& one : all_) {
    const auto used = io::cpu_time_of(one.thread);
    one.state.cpu_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(used).count());
    one.state.load = static_cast<std::uint32_t>((used - std::exchange(one.used, used)) * 100 / passed);
    found.push_back(one.state);
  }
  return found;
}

}  // namespace cygnet::daemon
