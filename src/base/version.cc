// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

namespace cygnet {

std::string_view version() { return CYGNET_VERSION; }

}  // namespace cygnet
