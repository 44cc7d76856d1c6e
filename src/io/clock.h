// SPDX-License-Identifier: Apache-2.0
#pragma once

// The real clocks and the real randomness: what everything pure is handed.
#include "base/random.h"
#include "base/time.h"

namespace cygnet::io {

// CLOCK_MONOTONIC: the same for all processes of a machine, so that ike and engine may exchange instants.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant monotonic() const override { return now(); }
  [[nodiscard]] std::int64_t wall_seconds() const override;
  [[nodiscard]] static Instant now();
};

// getrandom(2). Aborts the process if the kernel has none: there is no safe way on.
class SystemRandom final : public Random {
 public:
  void fill(MutableByteView out) override;
};

}  // namespace cygnet::io
