// SPDX-License-Identifier: Apache-2.0
#pragma once

// Time as protocol code sees it: handed in, never asked for.
#include <chrono>
#include <cstdint>

namespace cygnet {

using Duration = std::chrono::nanoseconds;

// A point on the monotonic clock. Has no now() on purpose: only io/ knows what time it is.
struct TimeBase {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<TimeBase>;
  static constexpr bool is_steady = true;
};
using Instant = TimeBase::time_point;

inline constexpr Instant kNever = Instant::max();

// The clocks of the world outside; implemented in io/ (real) and in tests (simulated).
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant monotonic() const = 0;
  // Seconds since 1970, for people and certificates only: it may jump.
  [[nodiscard]] virtual std::int64_t wall_seconds() const = 0;
};

}  // namespace cygnet
