// SPDX-License-Identifier: Apache-2.0
#pragma once

// The command line of cygnetd.
#include <string>
#include <vector>

#include "base/result.h"

namespace cygnet::daemon {

struct Options {
  std::string config = "/etc/cygnet/ipsec.conf";
  std::string secrets = "/etc/cygnet/ipsec.secrets";
  std::string run_dir = "/run/cygnet";
  std::string state_dir = "/var/lib/cygnet";
  std::string user = "cygnet";  // ike, keys and engine run as this user
  std::string role;             // internal: set when the monitor starts us again
  bool foreground = false;
  bool check = false;
  bool clean_up = false;
  bool allow_unconfined = false;  // where the kernel takes no system call filter
  bool help = false;
  bool version = false;
};

[[nodiscard]] Result<Options> parse_options(const std::vector<std::string>& arguments);
[[nodiscard]] std::string usage();

}  // namespace cygnet::daemon
