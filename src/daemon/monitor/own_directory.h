// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace cygnet::daemon {

// Makes the directory, or looks at the one there is: what stands in it is believed (devices to remove, sockets to talk
// to, leases), so nobody but this user may put anything there. `what` names it in words: "the run directory".
[[nodiscard]] Result<void> make_own_directory(const std::string& path, const std::string& what);

}  // namespace cygnet::daemon
