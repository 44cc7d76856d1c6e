// SPDX-License-Identifier: Apache-2.0
#pragma once

// The commonest mistake: authby=secret, and no line in ipsec.secrets that fits. Told before a peer has to refuse.
#include "config/load.h"

namespace cygnet::config {

// A warning for each connection whose ends are both known here and for which no secret can fit, the first ten by name.
// None where the secrets could not be read: that was told.
[[nodiscard]] Diagnostics missing_secrets(const LoadedConfiguration& configuration, const LoadedSecrets& secrets);

}  // namespace cygnet::config
