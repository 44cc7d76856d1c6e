// SPDX-License-Identifier: Apache-2.0
#pragma once

// On which CPU the thread that moves packets had better be, decided from what is handed in: nothing here asks or tells
// the kernel. To wake a thread on another CPU takes long where that one sleeps, most of all in a virtual machine; so
// while there is little to do the thread keeps to the CPU that packets arrive on. With work to do, or where it would
// have to wait for others, it may run on all it was allowed.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"

namespace cygnet::daemon {

// What a thread has had so far.
struct CpuSpent {
  Duration ran{};
  Duration waited{};         // ready to run, while something else ran there
  std::uint64_t stints = 0;  // how often it was put on a CPU
};

// How often packets came in on a CPU so far, whoever they were for.
struct CpuArrivals {
  std::uint16_t cpu = 0;
  bool allowed = false;  // the thread may run there
  std::uint64_t count = 0;
};

class Placement {
 public:
  enum class Step : std::uint8_t {
    kStay,
    kCount,    // to be told where packets arrive: arrived()
    kRelease,  // all CPUs that it may have; released already here
  };

  // Cheap, for each turn: whether it is time for look(). Seldom while there is little to do, because whoever was woken
  // on this CPU waits meanwhile.
  [[nodiscard]] bool is_due(Instant now) {
    ++turns_;
    return now - last_look_ >= (turns_ >= kTurnsOfWork ? kLookAtWork : kLookIdle);
  }
  // bursts: of packets that the thread has moved so far.
  [[nodiscard]] Step look(Instant now, const CpuSpent& spent, std::uint64_t bursts);
  // The CPU to go to now.
  [[nodiscard]] std::optional<std::uint16_t> arrived(Instant now, std::span<const CpuArrivals> counts);
  // It could not go there, or somebody else has placed it meanwhile: not again for a while.
  void refused(Instant now);
  // The CPU that it keeps to; none: it runs anywhere.
  [[nodiscard]] std::optional<std::uint16_t> cpu() const { return cpu_; }

 private:
  static constexpr Duration kLookAtWork = std::chrono::milliseconds(10);
  static constexpr Duration kLookIdle = std::chrono::milliseconds(100);
  static constexpr int kTurnsOfWork = 32;  // in less than kLookIdle
  [[nodiscard]] bool has_to_wait();
  [[nodiscard]] Step release(Instant now);
  [[nodiscard]] bool may_count(Instant now) const;

  std::optional<std::uint16_t> cpu_;
  int turns_ = 0;  // since last_look_
  Instant last_look_{};
  CpuSpent last_;
  std::uint64_t bursts_ = 0;
  Instant quiet_since_{};
  Instant not_before_{};  // for going anywhere
  Duration pause_{};      // the next one
  CpuSpent window_;       // since it was last judged whether it waits too long
  Instant last_count_{};
  std::uint64_t bursts_counted_ = 0;
  std::vector<CpuArrivals> counted_;
};

}  // namespace cygnet::daemon
