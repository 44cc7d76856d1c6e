// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace cygnet::model {

// In EngineThreads::cpus: wherever the kernel puts it. A thread that is not named there runs anywhere as well; the one
// that does everything keeps to where packets arrive then, while it has little to do.
inline constexpr std::uint16_t kAnyCpu = 0xffff;

}  // namespace cygnet::model
