// SPDX-License-Identifier: Apache-2.0
#pragma once

// The command line of cygnet.
#include <optional>
#include <string>
#include <variant>

#include "cli/import.h"
#include "cli/wrap.h"
#include "control/messages.h"

namespace cygnet::cli {

struct CheckCommand {  // reads files, asks no daemon
  std::string config = "/etc/cygnet/ipsec.conf";
  std::string secrets;  // empty: none
};
struct Options {
  std::string run_dir;
  bool json = false;
  std::variant<control::Request, CheckCommand, ImportCommand, WrapCommand> command;
};

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kNoDaemon = 3;

// Options, or the exit code when the line was no command (help and usage are printed).
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = kOk;
};
[[nodiscard]] ParsedOptions parse_options(int argc, const char* const* argv, const char* run_dir_from_environment);

// "net/1x1" names a child of net; "net" all of it.
void split_name(const std::string& name, std::string& connection, std::string& child);

}  // namespace cygnet::cli
