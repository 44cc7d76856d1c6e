// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ike/actions.h"

namespace cygnet::daemon {

// Does the public-key work of one job: what the pool runs. Same job, same result.
[[nodiscard]] ike::JobResult run_key_job(const ike::KeyExchangeJob& job);

}  // namespace cygnet::daemon
