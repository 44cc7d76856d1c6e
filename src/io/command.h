// SPDX-License-Identifier: Apache-2.0
#pragma once

// Programs of the host, run without a shell: standard input from a text, standard output and error into a file.
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/fd.h"

namespace cygnet::io {

struct Command {
  std::vector<std::string> words;  // the program (looked for in PATH) and its arguments
  std::string input;
};
[[nodiscard]] std::string to_string(const Command& command);  // as a person would type it
// Whether PATH leads to such a program.
[[nodiscard]] bool has_program(const std::string& name);

struct RunningCommand {
  pid_t pid = 0;
  UniqueFd output;  // what it says, for command_output() once it has ended
};
[[nodiscard]] Result<RunningCommand> start_command(const Command& command);
[[nodiscard]] std::string command_output(const RunningCommand& ended);  // one line, printable, not long
// Blocks until the command has ended, and kills it when the time is up. The error says why it did not end well.
[[nodiscard]] Result<void> run_command(const Command& command, Duration patience);

}  // namespace cygnet::io
