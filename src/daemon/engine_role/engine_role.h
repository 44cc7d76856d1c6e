// SPDX-License-Identifier: Apache-2.0
#pragma once

// The engine process: descriptors from the monitor, requests from ike, packets from devices and network.
#include "base/log.h"
#include "daemon/options.h"

namespace cygnet::daemon {

// Runs until the monitor ends. The exit status.
int run_engine_role(const Options& options, Logger& log);

}  // namespace cygnet::daemon
