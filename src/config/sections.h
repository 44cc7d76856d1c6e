// SPDX-License-Identifier: Apache-2.0
#pragma once

// The grammar that both dialects share: sections of indented key=value lines, comments, quotes, include.
//
//   config setup
//       key=value
//   conn NAME            # comment: '#' at the start of a line or after white space
//       key = "value with  spaces"
//       leftsubnets={ 10.1.0.0/16 10.2.0.0/16 }
//   include more/*.conf
//   version 2
#include <set>
#include <string>
#include <vector>

#include "config/diagnostic.h"
#include "config/file_reader.h"

namespace cygnet::config {

// A position in a file, for messages.
struct Place {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;
  std::string source_line;
};

struct Entry {
  std::string key;    // lower case, '_' as '-'
  std::string value;  // without quotes, inner white space as written
  Place place;        // of the key
  unsigned value_column = 0;

  [[nodiscard]] Place value_place(std::size_t offset = 0) const;
};

enum class SectionKind : std::uint8_t { kSetup, kConn, kCa };

struct Section {
  SectionKind kind = SectionKind::kConn;
  std::string name;  // of a conn or ca
  Place place;
  std::vector<Entry> entries;
};

// Bounds on what a configuration may make us hold. Files beyond them are refused with a message.
inline constexpr std::size_t kMaxFileBytes = 16UL * 1024 * 1024;
inline constexpr std::size_t kMaxTotalBytes = 128UL * 1024 * 1024;
inline constexpr unsigned kMaxIncludeDepth = 10;
inline constexpr std::size_t kMaxFiles = 20000;
inline constexpr std::size_t kMaxLine = 16384;
inline constexpr std::size_t kMaxDiagnostics = 200;

// Collects diagnostics: each once (a line may be read for every connection that inherits it), at most kMaxDiagnostics.
class Reporter {
 public:
  explicit Reporter(Diagnostics& out) : out_(out) {}
  void error(const Place& place, std::string message, std::string hint = {}) {
    add(Level::kError, place, std::move(message), std::move(hint));
  }
  void warning(const Place& place, std::string message, std::string hint = {}) {
    add(Level::kWarning, place, std::move(message), std::move(hint));
  }
  void note(const Place& place, std::string message, std::string hint = {}) {
    add(Level::kNote, place, std::move(message), std::move(hint));
  }

 private:
  void add(Level level, const Place& place, std::string message, std::string hint);
  Diagnostics& out_;
  std::set<std::string> seen_;
};

[[nodiscard]] std::vector<Section> parse_sections(const std::string& path, FileReader& files, Diagnostics& diagnostics);

// "dir/file" and "name" -> "dir/name"; absolute names stay.
[[nodiscard]] std::string relative_to(const std::string& including_file, const std::string& name);
[[nodiscard]] bool has_wildcard(const std::string& name);

}  // namespace cygnet::config
