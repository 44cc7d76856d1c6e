// SPDX-License-Identifier: Apache-2.0
#include "io/log_sink.h"

#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>

namespace cygnet::io {

namespace {

std::string subject_of(const std::string& role, const LogEntry& entry) {
  return entry.subject.empty() || entry.subject == role ? role : role + "[" + one_line(entry.subject) + "]";
}

int priority_of(Severity severity) {
  switch (severity) {
    case Severity::kDebug: return LOG_DEBUG;
    case Severity::kInfo: return LOG_INFO;
    case Severity::kNotice: return LOG_NOTICE;
    case Severity::kWarning: return LOG_WARNING;
    case Severity::kError: return LOG_ERR;
  }
  return LOG_INFO;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '\n') {
      out += " | ";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += '?';
    } else {
      out += c;
    }
  }
  return out;
}

void StderrLogger::write(const LogEntry& entry) {
  if (entry.severity < level_) {
    return;
  }
  timespec t{};
  (void)::clock_gettime(CLOCK_REALTIME, &t);
  tm parts{};
  (void)::localtime_r(&t.tv_sec, &parts);
  std::array<char, 16> hms{};
  (void)std::strftime(hms.data(), hms.size(), "%H:%M:%S", &parts);
  std::array<char, 8> ms{};
  (void)std::snprintf(ms.data(), ms.size(), ".%03u", static_cast<unsigned>(t.tv_nsec / 1000000) % 1000U);
  const std::string line = std::string(hms.data()) + ms.data() + " " + std::string(to_string(entry.severity)) + " " +
                           subject_of(role_, entry) + ": " + one_line(entry.message) + "\n";
  // One write, so that lines of several processes do not mix.
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

SyslogLogger::SyslogLogger(std::string role) : role_(std::move(role)) { ::openlog("cygnetd", LOG_PID, LOG_DAEMON); }

void SyslogLogger::write(const LogEntry& entry) {
  if (entry.severity >= level_) {
    ::syslog(priority_of(entry.severity), "%s: %s", subject_of(role_, entry).c_str(), one_line(entry.message).c_str());
  }
}

}  // namespace cygnet::io
