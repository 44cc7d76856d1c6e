// SPDX-License-Identifier: Apache-2.0
#pragma once

// Model values as `cygnet list` shows them.
#include "control/messages.h"
#include "model/connection.h"
#include "model/sa_spec.h"

namespace cygnet::control {

[[nodiscard]] ListedConnection describe(const model::Connection& connection);
[[nodiscard]] ListedPolicy describe(const model::PolicySpec& policy);
[[nodiscard]] std::string_view to_string(model::Mode mode);
[[nodiscard]] std::string_view to_string(model::StartAction start);
[[nodiscard]] std::string_view to_string(model::PolicyAction action);

}  // namespace cygnet::control
