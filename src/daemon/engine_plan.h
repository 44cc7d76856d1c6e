// SPDX-License-Identifier: Apache-2.0
#pragma once

// The plan of config/engine_plan.h, which the monitor makes and ike is told of.
#include "config/engine_plan.h"

namespace cygnet::daemon {

using config::Connections;
using config::device_names;
using config::engine_word;
using config::EnginePlan;
using config::in_kernel;
using config::name_interfaces;
using config::take_interfaces;
using config::those_of;
using config::wanted_engine;
using config::why_not_anywhere;
using config::why_not_apart;
using config::why_not_in_kernel;
using config::why_not_running;
using config::why_not_user;
using config::word_of;

}  // namespace cygnet::daemon
