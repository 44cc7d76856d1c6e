// SPDX-License-Identifier: Apache-2.0
#pragma once

// engine=: whether the kernel is to carry the packets. Only the kernel itself can say what it can: it is asked to take
// an SA of each kind that the connections may agree on.
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/load.h"

namespace cygnet::daemon {

// What hinders the kernel, as a sentence; empty: it can carry all of these connections. language: kXfrm or kPfkey.
[[nodiscard]] std::string why_not_kernel(const std::vector<model::Connection>& connections, model::EngineKind language);

// What hinders our own engine, likewise.
[[nodiscard]] std::string why_not_user(const std::vector<model::Connection>& connections);
// engine: kUser, kXfrm or kPfkey.
[[nodiscard]] std::string why_not_engine(const std::vector<model::Connection>& connections, model::EngineKind engine);

// kUser, kXfrm or kPfkey. engine=auto takes the kernel only if nothing hinders it; engine=xfrm and pfkey fail then.
[[nodiscard]] Result<model::EngineKind> choose_engine(const config::LoadedConfiguration& configuration, Logger& log);

// Where it is written down that this daemon uses the kernel: several may run, and what is another's stays.
inline constexpr std::string_view kInKernelFile = "in-kernel";
// At the start. Not in use: what a killed one may have left there, when it had the kernel, goes.
void note_in_kernel(model::EngineKind engine, const std::string& file, Logger& log);
// SAs and policies of ours that are still in the kernel go, if the file says that there may be some; then the file.
void remove_from_kernel(const std::string& file);

}  // namespace cygnet::daemon
