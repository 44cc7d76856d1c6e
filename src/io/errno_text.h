// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace cygnet::io {

// "Permission denied".
[[nodiscard]] std::string errno_text(int error);
// fail("WHAT: Permission denied") with the errno of the call that just failed.
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what);

}  // namespace cygnet::io
