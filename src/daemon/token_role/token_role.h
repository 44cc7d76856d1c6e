// SPDX-License-Identifier: Apache-2.0
#pragma once

// The token process: speaks to PKCS#11 tokens through the libraries of their makers. That is foreign code, so it has a
// process of its own, which holds the PINs of tokens and nothing else. What to look for comes from the monitor, what to
// sign from ike.
#include "base/log.h"
#include "daemon/options.h"

namespace cygnet::daemon {

int run_token_role(const Options& options, Logger& log);

}  // namespace cygnet::daemon
