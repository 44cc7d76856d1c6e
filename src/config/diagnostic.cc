// SPDX-License-Identifier: Apache-2.0
#include "config/diagnostic.h"

#include <algorithm>

namespace cygnet::config {
namespace {

std::string_view level_name(Level level) {
  switch (level) {
    case Level::kNote: return "note";
    case Level::kWarning: return "warning";
    case Level::kError: return "error";
  }
  return "error";
}

// The line as a terminal may show it: control octets replaced one for one, so that columns stay true.
std::string printable(const std::string& line) {
  std::string text = line;
  std::replace_if(
      text.begin(), text.end(),
      [](char c) {
        return c != '\t' && (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f);
      },
      '?');
  return text;
}

// Spaces (and the line's own tabs) up to the column, then a caret.
std::string caret_line(const std::string& line, unsigned column) {
  std::string text;
  for (std::size_t i = 0; i + 1 < column && i < line.size(); ++i) text.push_back(line[i] == '\t' ? '\t' : ' ');
  return text + '^';
}

}  // namespace

bool has_errors(const Diagnostics& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(), [](const auto& d) { return d.level == Level::kError; });
}

std::string to_line(const Diagnostic& diagnostic) {
  std::string text = printable(diagnostic.file);
  if (diagnostic.line != 0) {
    text += ':' + std::to_string(diagnostic.line);
    if (diagnostic.column != 0) text += ':' + std::to_string(diagnostic.column);
  }
  text += ": " + std::string(level_name(diagnostic.level)) + ": " + printable(diagnostic.message);
  return text;
}

std::string to_string(const Diagnostic& diagnostic) {
  std::string text = to_line(diagnostic) + '\n';
  if (!diagnostic.source_line.empty() && diagnostic.column != 0) {
    const auto line = printable(diagnostic.source_line);
    text += "  " + line + "\n  " + caret_line(line, diagnostic.column) + '\n';
  }
  if (!diagnostic.hint.empty()) text += "  hint: " + printable(diagnostic.hint) + '\n';
  return text;
}

std::string to_string(const Diagnostics& diagnostics) {
  std::string text;
  for (const auto& d : diagnostics) text += to_string(d);
  return text;
}

}  // namespace cygnet::config
