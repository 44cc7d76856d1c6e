// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ike process: runs the IKE endpoint and does what it asks for.
#include "base/log.h"
#include "daemon/options.h"

namespace cygnet::daemon {

// Runs until the monitor says so or ends. The exit status.
int run_ike_role(const Options& options, Logger& log);

}  // namespace cygnet::daemon
