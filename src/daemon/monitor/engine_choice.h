// SPDX-License-Identifier: Apache-2.0
#pragma once

// engine=: whether the kernel is to carry the packets. Only the kernel itself can say what it can: it is asked to take
// an SA of each kind that the connections may agree on.
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/load.h"
#include "daemon/engine_plan.h"

namespace cygnet::daemon {

// What hinders the kernel, as a sentence; empty: it can carry all of these connections. language: kXfrm or kPfkey.
[[nodiscard]] std::string why_not_kernel(const Connections& connections, model::EngineKind language);

// Whether these connections, which may be all there are or some, go with what was decided at the start, likewise.
[[nodiscard]] std::string why_not_plan(const EnginePlan& plan, const std::vector<model::Connection>& connections);

// engine=auto takes the kernel if nothing hinders it for any connection that says so, else our own engine if nothing
// hinders that, else to each its own. Fails where a connection cannot have the engine that it wants.
[[nodiscard]] Result<EnginePlan> choose_engines(const config::LoadedConfiguration& configuration, Logger& log);

// Where it is written down that this daemon uses the kernel: several may run, and what is another's stays.
inline constexpr std::string_view kInKernelFile = "in-kernel";
// At the start. Not in use: what a killed one may have left there, when it had the kernel, goes.
void note_in_kernel(const EnginePlan& plan, const std::string& file, Logger& log);
// SAs and policies of ours that are still in the kernel go, if the file says that there may be some; then the file.
// Where that fails the file stays, for the next attempt.
void remove_from_kernel(const std::string& file, Logger& log);

}  // namespace cygnet::daemon
