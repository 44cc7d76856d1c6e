// SPDX-License-Identifier: Apache-2.0
#pragma once

// Giving up what a process does not need, for good.
#include <cstdint>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace cygnet::daemon {

enum class Confinement { kEngine, kIke, kKeys, kToken };

[[nodiscard]] bool user_exists(const std::string& user);
// Whom drop_privileges() becomes.
[[nodiscard]] std::optional<std::uint32_t> uid_of(const std::string& user);

// Becomes `user` (nobody, if there is no such user), without capabilities, unable to gain any, not dumpable, no core
// files, and asks to be killed when the parent dies (changing the user forgets that).
// kNetAdmin: but for CAP_NET_ADMIN, without which the kernel takes no SA.
enum class Keep { kNothing, kNetAdmin };
[[nodiscard]] Result<void> drop_privileges(const std::string& user, Keep keep = Keep::kNothing);

// Leaves the process, with all its threads, only the system calls it uses (seccomp); all others fail with EPERM.
// Nothing in sanitizer builds. What it may still do concerns itself alone: no other process, no namespace, no kind of
// socket that IKE does not need. Where the kernel takes no filter it fails, unless the process may go on without one
// (cygnetd --allow-unconfined): then the log says so.
// kToken runs foreign code, whose calls nobody can list: it may do what harms only itself. No other process, no kernel
// interface, no sockets but those of Unix (smart card daemons have one).
[[nodiscard]] Result<void> confine(Confinement how, bool may_fail, Logger& log);
// Before the privileges go: from now on no network is to be seen. Where the kernel refuses, the filter remains.
void leave_network();

}  // namespace cygnet::daemon
