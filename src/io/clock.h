// SPDX-License-Identifier: Apache-2.0
#pragma once

// The real clocks and the real randomness: what everything pure is handed.
#include <array>

#include "base/random.h"
#include "base/time.h"

namespace cygnet::io {

// CLOCK_BOOTTIME: the same for all processes of a machine, so that ike and engine may exchange instants. It goes on
// while the machine sleeps: what was to be rekeyed meanwhile is overdue when it wakes.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant monotonic() const override { return now(); }
  [[nodiscard]] std::int64_t wall_seconds() const override;
  [[nodiscard]] static Instant now();
};

// getrandom(2), asked for some hundred octets at a time: a handshake draws a dozen small numbers. What was handed out
// is wiped here. For one thread of one process: not to be used on both sides of a fork. Aborts the process if the
// kernel has none: there is no safe way on.
class SystemRandom final : public Random {
 public:
  SystemRandom() = default;
  ~SystemRandom() override;
  SystemRandom(const SystemRandom&) = delete;
  SystemRandom& operator=(const SystemRandom&) = delete;
  void fill(MutableByteView out) override;

 private:
  std::array<std::uint8_t, 1024> ahead_{};
  std::size_t left_ = 0;  // of those, at the end
};

}  // namespace cygnet::io
