// SPDX-License-Identifier: Apache-2.0
#pragma once

// engine=xfrm, engine=pfkey: the process that takes the engine's place where the kernel carries the packets. It says to
// ike what the engine says, and drives the kernel over NETLINK_XFRM or PF_KEY; it keeps CAP_NET_ADMIN and nothing else.
#include "base/log.h"
#include "daemon/options.h"

namespace cygnet::daemon {

// With the channel that the monitor left us. Runs until the monitor ends. The exit status.
int run_kernel_role(const Options& options, Logger& log);

}  // namespace cygnet::daemon
