// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys process: holds pre-shared keys and private keys, and proves with them what ike asks it to prove. It has no
// network and opens no file; secrets come from the monitor, questions from ike.
#include "base/log.h"
#include "daemon/options.h"

namespace cygnet::daemon {

int run_keys_role(const Options& options, Logger& log);

}  // namespace cygnet::daemon
