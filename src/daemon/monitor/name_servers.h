// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who is asked for names on this machine, as far as its files tell: what is let out beside tunnels that hold everything
// back and wait for an address of their peer's name (Network::let_questions_out()).
#include <cstddef>
#include <set>
#include <string>

#include "base/address.h"

namespace cygnet::daemon {

struct NameServerPaths {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string resolved_dir = "/run/systemd/resolve";  // there: systemd-resolved runs
  std::string nscd_socket = "/var/run/nscd/socket";   // there: nscd asks for the programs
};

struct NameServers {
  static constexpr std::size_t kMost = 16;
  std::set<IpAddress> list;
  bool anybody = false;    // a program of this machine is asked, and whom it asks is not known
  bool by_others = false;  // not who wants to know asks them, but such a program
  bool operator==(const NameServers&) const = default;
};

[[nodiscard]] NameServers name_servers(const NameServerPaths& paths = {});

}  // namespace cygnet::daemon
