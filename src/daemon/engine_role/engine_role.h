// SPDX-License-Identifier: Apache-2.0
#pragma once

// The engine process: descriptors from the monitor, requests from ike, packets from devices and network.
#include <string>

#include "base/log.h"
#include "daemon/options.h"
#include "io/fd.h"

namespace cygnet::daemon {

// With the channel to the monitor: waits for StartEngine, becomes `user`, and serves until the monitor ends. Exit
// status.
int serve_engine(io::UniqueFd monitor, const Options& options, Logger& log);

// The same with the channel that the monitor left us. Runs until the monitor ends. The exit status.
int run_engine_role(const Options& options, Logger& log);

}  // namespace cygnet::daemon
