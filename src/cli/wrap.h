// SPDX-License-Identifier: Apache-2.0
#pragma once

// `cygnet wrap COMMAND`: a program that speaks PF_KEY to the kernel speaks to the engine instead.
#include <string>
#include <vector>

namespace cygnet::cli {

struct WrapCommand {
  std::vector<std::string> command;
};

// Becomes the command. Returns only if that fails: the exit status.
[[nodiscard]] int run_wrap(const WrapCommand& command, const std::string& run_dir);

}  // namespace cygnet::cli
