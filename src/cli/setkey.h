// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/setkey_options.h"

namespace cygnet::cli {

// Does what the command line says. The exit status.
[[nodiscard]] int run_setkey(const SetkeyOptions& options);

}  // namespace cygnet::cli
