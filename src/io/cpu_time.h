// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include "base/time.h"

namespace cygnet::io {

// What a thread of this process has had of the CPUs so far; nothing if it is gone.
[[nodiscard]] Duration cpu_time_of(pthread_t thread);

}  // namespace cygnet::io
