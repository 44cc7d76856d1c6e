// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace cygnet {

// Of the whole project, as CMakeLists.txt says it: "0.2.0".
[[nodiscard]] std::string_view version();

}  // namespace cygnet
