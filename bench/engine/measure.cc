// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <x86intrin.h>

#include <chrono>
#include <ctime>

namespace cygnet::bench {

double thread_cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double ticks_per_second() {
  static const double kRate = [] {
    using Clock = std::chrono::steady_clock;
    const auto from = Clock::now();
    const auto first = __rdtsc();
    while (Clock::now() - from < std::chrono::milliseconds(50)) {
    }
    const auto ticks = __rdtsc() - first;
    return static_cast<double>(ticks) / std::chrono::duration<double>(Clock::now() - from).count();
  }();
  return kRate;
}

void report(benchmark::State& state, std::uint64_t packets, std::span<const Stopwatch> watches) {
  const auto count = static_cast<double>(packets);
  double rate = 0;
  double seconds = 0;
  for (const auto& watch : watches) {
    rate += count / watch.total();
    seconds += watch.total() / static_cast<double>(watches.size());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(packets * watches.size()));
  state.counters["pps"] = rate;
  state.counters["cycles"] = seconds * ticks_per_second() / count;
  state.counters["ns"] = seconds * 1e9 / count;
}

void report(benchmark::State& state, std::uint64_t packets, std::span<const Stopwatch> watches, double cipher_seconds) {
  report(state, packets, watches);
  double seconds = 0;
  for (const auto& watch : watches) seconds += watch.total() / static_cast<double>(watches.size());
  state.counters["share"] = cipher_seconds * static_cast<double>(packets) / seconds;
}

void report(benchmark::State& state, std::uint64_t count, double seconds) {
  state.SetItemsProcessed(static_cast<std::int64_t>(count));
  state.counters["pps"] = static_cast<double>(count) / seconds;
  state.counters["cycles"] = seconds * ticks_per_second() / static_cast<double>(count);
  state.counters["ns"] = seconds * 1e9 / static_cast<double>(count);
}

}  // namespace cygnet::bench
