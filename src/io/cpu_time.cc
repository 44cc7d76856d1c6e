// SPDX-License-Identifier: Apache-2.0
#include "io/cpu_time.h"

#include <ctime>

namespace cygnet::io {

Duration cpu_time_of(pthread_t thread) {
  clockid_t clock{};
  timespec t{};
  if (::pthread_getcpuclockid(thread, &clock) != 0 || ::clock_gettime(clock, &t) != 0) return {};
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

}  // namespace cygnet::io
