// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/connection.h"
#include "model/engine_threads.h"

namespace cygnet::config {

// What config setup says to processes that run: they have read it once.
struct SetupInForce {
  model::Setup setup;
  model::EngineThreads threads;
};

// The words of config setup that only a restart of the daemon puts into force and that are other than they were:
// "ikeport, devices". Empty: none; log-level may change at any time.
[[nodiscard]] std::string words_for_restart(const SetupInForce& was, const SetupInForce& now);

}  // namespace cygnet::config
