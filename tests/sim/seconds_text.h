// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdio>
#include <string>

#include "base/time.h"

namespace cygnet::sim {

[[nodiscard]] inline std::string seconds_text(Duration d) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%.3f s", std::chrono::duration<double>(d).count());
  return text.data();
}

}  // namespace cygnet::sim
