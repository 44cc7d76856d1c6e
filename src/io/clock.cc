// SPDX-License-Identifier: Apache-2.0
#include "io/clock.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

namespace cygnet::io {

Instant SystemClock::now() {
  timespec t{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

std::int64_t SystemClock::wall_seconds() const {
  timespec t{};
  (void)::clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec;
}

void SystemRandom::fill(MutableByteView out) {
  while (!out.empty()) {
    const auto n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0 && errno != EINTR) {
      std::abort();
    }
    if (n > 0) {
      out = out.subspan(static_cast<std::size_t>(n));
    }
  }
}

}  // namespace cygnet::io
