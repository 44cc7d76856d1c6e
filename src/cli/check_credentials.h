// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `cygnet check` says of the certificates, keys and CRLs that a configuration names: the parts that a
// configuration reader does not understand.
#include <cstdint>

#include "config/diagnostic.h"
#include "model/credentials.h"

namespace cygnet::cli {

// now: seconds since 1970.
[[nodiscard]] config::Diagnostics check_credentials(const model::PublicCredentials& credentials, std::int64_t now);

}  // namespace cygnet::cli
