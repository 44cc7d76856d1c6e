// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/options.h"

namespace cygnet::cli {

// Runs the command; returns the exit code (options.h).
[[nodiscard]] int run(const Options& options);

}  // namespace cygnet::cli
