// SPDX-License-Identifier: Apache-2.0
#include "io/clock.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>

namespace cygnet::io {

Instant SystemClock::now() {
  timespec t{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &t);
  return Instant(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

std::int64_t SystemClock::wall_seconds() const {
  timespec t{};
  (void)::clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec;
}

namespace {

void draw(MutableByteView out) {
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

}  // namespace

SystemRandom::~SystemRandom() { wipe(ahead_); }

void SystemRandom::fill(MutableByteView out) {
  if (out.size() > ahead_.size() / 4) return draw(out);
  if (out.size() > left_) {
    draw(ahead_);
    left_ = ahead_.size();
  }
  const auto drawn = MutableByteView(ahead_).subspan(ahead_.size() - left_, out.size());
  std::copy(drawn.begin(), drawn.end(), out.begin());
  wipe(drawn);
  left_ -= out.size();
}

}  // namespace cygnet::io
