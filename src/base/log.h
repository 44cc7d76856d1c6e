// SPDX-License-Identifier: Apache-2.0
#pragma once

// Log lines as values. Pure code returns them (or hands them to a Logger it was given); processes print them.
#include <cstdint>
#include <string>
#include <string_view>

namespace cygnet {

enum class Severity : std::uint8_t { kDebug, kInfo, kNotice, kWarning, kError };

[[nodiscard]] std::string_view to_string(Severity severity);

struct LogEntry {
  Severity severity = Severity::kInfo;
  std::string subject;  // connection, peer or part: "office", "192.0.2.7:500", "engine"
  std::string message;  // one sentence, no newline, never key material
};

class Logger {
 public:
  virtual ~Logger() = default;
  virtual void write(const LogEntry& entry) = 0;

  void debug(std::string_view subject, std::string_view message) {
    write({Severity::kDebug, std::string(subject), std::string(message)});
  }
  void info(std::string_view subject, std::string_view message) {
    write({Severity::kInfo, std::string(subject), std::string(message)});
  }
  void notice(std::string_view subject, std::string_view message) {
    write({Severity::kNotice, std::string(subject), std::string(message)});
  }
  void warning(std::string_view subject, std::string_view message) {
    write({Severity::kWarning, std::string(subject), std::string(message)});
  }
  void error(std::string_view subject, std::string_view message) {
    write({Severity::kError, std::string(subject), std::string(message)});
  }
};

}  // namespace cygnet
