// SPDX-License-Identifier: Apache-2.0
#pragma once

// The command line of setkey.
#include <string>
#include <vector>

#include "base/result.h"

namespace cygnet::cli {

struct SetkeyOptions {
  enum class Action { kNone, kScript, kDump, kFlush, kMonitor, kRegister, kStatistics, kVersion, kHelp };
  Action action = Action::kNone;
  std::vector<std::string> files;  // "-": standard input
  bool policies = false;           // -P
  bool dead_too = false;           // -a
  bool hexadecimal = false;        // -h, -H
  bool kernel_mode = false;        // -k: no fwd policy for each in policy
  bool forever = false;            // -l
  bool only_check = false;         // -n
  bool verbose = false;            // -v
  bool ports = false;              // -p
  bool raw_time = false;           // -xx
  bool show_keys = false;          // --show-keys
  bool kernel = false;             // --kernel: af_key, even where an engine runs
  std::string run_dir;             // empty: that of the system
  bool run_dir_given = false;      // then no kernel will do
};

[[nodiscard]] Result<SetkeyOptions> parse_setkey_options(const std::vector<std::string>& arguments,
                                                         const char* run_dir_from_environment);
[[nodiscard]] std::string setkey_usage();

}  // namespace cygnet::cli
