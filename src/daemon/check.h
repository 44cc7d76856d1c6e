// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/options.h"

namespace cygnet::daemon {

// `cygnetd --check`: reads the configuration, prints what is wrong with it or what it would do. 0: sound, 1: not.
int check_configuration(const Options& options);

}  // namespace cygnet::daemon
