// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "io/fd.h"

namespace cygnet::daemon {

// Makes the directory, or looks at the one there is: what stands in it is believed (devices to remove, sockets to talk
// to, leases), so nobody but this user may put anything there. `what` names it in words: "the run directory".
[[nodiscard]] Result<void> make_own_directory(const std::string& path, const std::string& what);

// Whoever has the descriptor is the only one to keep its state there; it goes with the process. Nothing: another one
// has it. A directory that nothing can be written into belongs to nobody, which the caller has been told already: an
// empty descriptor.
[[nodiscard]] std::optional<io::UniqueFd> lock_directory(const std::string& path);

}  // namespace cygnet::daemon
