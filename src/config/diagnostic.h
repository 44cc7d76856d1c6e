// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is wrong with a configuration, where, and what to write instead. Never holds a secret.
#include <cstdint>
#include <string>
#include <vector>

namespace cygnet::config {

enum class Level : std::uint8_t { kNote, kWarning, kError };

struct Diagnostic {
  Level level = Level::kError;
  std::string file;
  unsigned line = 0;    // from 1; 0: the file as a whole
  unsigned column = 0;  // from 1; 0: the line as a whole
  std::string message;
  std::string hint;         // what to do; may be empty
  std::string source_line;  // the line as written; empty where it could show a secret
};
using Diagnostics = std::vector<Diagnostic>;

[[nodiscard]] bool has_errors(const Diagnostics& diagnostics);
// "ipsec.conf:7:3: error: …", without the source line.
[[nodiscard]] std::string to_line(const Diagnostic& diagnostic);
// As a compiler prints it: the line above, the source line, a caret under the column, the hint.
[[nodiscard]] std::string to_string(const Diagnostic& diagnostic);
[[nodiscard]] std::string to_string(const Diagnostics& diagnostics);

}  // namespace cygnet::config
