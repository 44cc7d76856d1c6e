// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ike/actions.h"

namespace cygnet::daemon {

// Does the public-key work of one job: what the pool runs. Same job, same result.
[[nodiscard]] ike::JobResult run_key_job(const ike::KeyExchangeJob& job);
// The same of several, in their order; Curve25519 side by side where the processor can.
[[nodiscard]] std::vector<ike::JobResult> run_key_jobs(const std::vector<ike::KeyExchangeJob>& jobs);

}  // namespace cygnet::daemon
