// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every case of the engine benchmark counts: packets and the CPU time of the thread that moved them. CPU time, so
// that other work on the machine does not count; cycles are those of the CPU's time-stamp counter in that time.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>

namespace cygnet::bench {

// Of the calling thread, in seconds.
[[nodiscard]] double thread_cpu_seconds();
[[nodiscard]] double wall_seconds();
// Time-stamp counter, in ticks a second; measured once.
[[nodiscard]] double ticks_per_second();

// Adds up the time between start() and stop(); what lies outside (making packets) is not counted.
class Stopwatch {
 public:
  // wall: the clock on the wall; else the thread's CPU time.
  explicit Stopwatch(bool wall = false) : clock_(wall ? wall_seconds : thread_cpu_seconds) {}
  void start() { since_ = clock_(); }
  void stop() { total_ += clock_() - since_; }
  [[nodiscard]] double total() const { return total_; }

 private:
  double (*clock_)();
  double since_ = 0;
  double total_ = 0;
};

// Counters of a case: pps (a second, all cores together), cycles and ns (a packet, on its core). packets: of each core;
// watches: one a core.
void report(benchmark::State& state, std::uint64_t packets, std::span<const Stopwatch> watches);
// As well `share`: the cipher's own seconds for such a packet over those of the whole way.
void report(benchmark::State& state, std::uint64_t packets, std::span<const Stopwatch> watches, double cipher_seconds);
// For what is not packets (lookups, inserts) on one core.
void report(benchmark::State& state, std::uint64_t count, double seconds);

}  // namespace cygnet::bench
