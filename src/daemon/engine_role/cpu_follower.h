// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keeps the thread that moves packets where placement.h says, while nobody else has a say in it.
#include <optional>
#include <vector>

#include "daemon/engine_role/placement.h"
#include "io/cpus.h"

namespace cygnet::daemon {

class CpuFollower {
 public:
  // For the calling thread. None: the kernel does not tell enough, or there is one CPU only.
  [[nodiscard]] static std::optional<CpuFollower> make();
  // After each turn of the thread. bursts: of packets, that it has moved so far.
  void end_of_turn(Instant now, std::uint64_t bursts) {
    if (placement_.is_due(now)) look(now, bursts);
  }
  // The CPU that it keeps to; none: it runs anywhere.
  [[nodiscard]] std::optional<std::uint16_t> cpu() const { return placement_.cpu(); }

 private:
  explicit CpuFollower(io::CpuReader reader) : reader_(std::move(reader)) {}
  void look(Instant now, std::uint64_t bursts);
  void count(Instant now);
  // False: it is not where it went, but where somebody else put it.
  [[nodiscard]] bool is_at(std::optional<std::uint16_t> cpu) const;

  io::CpuReader reader_;
  Placement placement_;
  cpu_set_t whole_{};  // what it may have when it keeps to none
};

}  // namespace cygnet::daemon
