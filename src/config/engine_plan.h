// SPDX-License-Identifier: Apache-2.0
#pragma once

// engine= in config setup and in connections: which engines run, and which of them carries a connection's packets. The
// monitor decides once, when it starts, and tells ike. Pure.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/load.h"
#include "model/connection.h"

namespace cygnet::config {

struct EnginePlan {
  bool user = true;  // our own engine runs
  bool kernel = false;
  model::EngineKind language = model::EngineKind::kXfrm;  // in which the kernel is driven: kXfrm or kPfkey
  model::EngineKind usual = model::EngineKind::kUser;     // of connections without engine=: config setup's
  // Of connections with engine=auto: kUser or kXfrm (the kernel), the same for all; kAuto: the kernel carries those
  // that have a word which only the kernel heeds.
  model::EngineKind automatic = model::EngineKind::kUser;

  [[nodiscard]] bool both() const { return user && kernel; }
  bool operator==(const EnginePlan&) const = default;
};

// What the configuration asks for: kUser, kXfrm, kPfkey or kAuto.
[[nodiscard]] model::EngineKind wanted_engine(const EnginePlan& plan, const model::Connection& connection);
// Whether the kernel carries it.
[[nodiscard]] bool in_kernel(const EnginePlan& plan, const model::Connection& connection);
// "user", "xfrm", "pfkey" or "auto".
[[nodiscard]] std::string_view word_of(model::EngineKind engine);
// The engine that carries it, by its word.
[[nodiscard]] std::string_view engine_word(const EnginePlan& plan, const model::Connection& connection);

// Two connections with traffic in common, of which one is the kernel's and the other is not: whichever sees a packet
// first would decide. As a sentence; empty: there are none. Addresses that nobody knows before (of a peer that may be
// anywhere) are not looked at. Ends may not be oriented yet.
[[nodiscard]] std::string why_not_apart(const EnginePlan& plan, const std::vector<model::Connection>& connections);
// A connection that wants an engine which does not run, likewise.
[[nodiscard]] std::string why_not_running(const EnginePlan& plan, const std::vector<model::Connection>& connections);

using Connections = std::vector<const model::Connection*>;
// Those that the kernel carries, or those that it does not.
[[nodiscard]] Connections those_of(const EnginePlan& plan, const std::vector<model::Connection>& all, bool kernel);
// What hinders our own engine, as a sentence; empty: nothing.
[[nodiscard]] std::string why_not_user(const Connections& connections);
// What hinders the kernel, driven in that language, as far as nobody asks it: likewise.
[[nodiscard]] std::string why_not_in_kernel(const model::Connection& connection, model::EngineKind language);
// What no machine could do, likewise.
[[nodiscard]] std::string why_not_anywhere(const LoadedConfiguration& configuration);

// ipsec-interface=: children that the kernel carries get the interface's name and ID.
void name_interfaces(const EnginePlan& plan, std::vector<model::Connection>& connections);
// Likewise of a whole configuration, whose Setup then says which interfaces there are to make. Fails where a name is
// that of a TUN device, too.
[[nodiscard]] Result<void> take_interfaces(const EnginePlan& plan, LoadedConfiguration& configuration);
// TUN devices and XFRM interfaces.
[[nodiscard]] std::vector<std::string> device_names(const model::Setup& setup);

}  // namespace cygnet::config
