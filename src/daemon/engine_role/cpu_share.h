// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much of a CPU a thread may use.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/time.h"

namespace cygnet::daemon {

class CpuShare {
 public:
  // 1 to 100.
  explicit CpuShare(std::uint32_t percent) : percent_(std::clamp<std::uint32_t>(percent, 1, 100)) {}

  // The thread has worked: `used` is all the CPU time it ever had. How long it has to rest now.
  [[nodiscard]] Duration rest_after(Instant now, Duration used) {
    if (last_ == Instant{}) last_ = now;
    debt_ += (used - used_) - (now - last_) * percent_ / 100;
    used_ = used;
    last_ = now;
    debt_ = std::max(debt_, -kSaved);
    return debt_ <= Duration{} ? Duration{} : debt_ * 100 / percent_;
  }

 private:
  // What a thread that had nothing to do may catch up with: a burst comes through at once.
  static constexpr Duration kSaved = std::chrono::milliseconds(2);
  std::uint32_t percent_;
  Instant last_{};
  Duration used_{};
  Duration debt_{};
};

}  // namespace cygnet::daemon
