// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where log lines go: one line an event.
#include <string>

#include "base/log.h"

namespace cygnet::io {

// "12:34:56.789 notice ike[gw-net]: ..." on standard error.
class StderrLogger final : public Logger {
 public:
  explicit StderrLogger(std::string role) : role_(std::move(role)) {}
  void set_level(Severity level) { level_ = level; }
  void write(const LogEntry& entry) override;

 private:
  std::string role_;
  Severity level_ = Severity::kInfo;
};

class SyslogLogger final : public Logger {
 public:
  explicit SyslogLogger(std::string role);
  void set_level(Severity level) { level_ = level; }
  void write(const LogEntry& entry) override;

 private:
  std::string role_;
  Severity level_ = Severity::kInfo;
};

// Control characters and line breaks out, so that no peer can forge or break a line.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace cygnet::io
