// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads the text format of tests/vectors/README.md.
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace cygnet::vectors {

// One record, the file's shared values included. Asking for a value that is not there, or is not hexadecimal, is a
// failure of the test; so is a value that nobody asked for.
class Record {
 public:
  explicit Record(std::map<std::string, std::string> values) : values_(std::move(values)) {}
  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  [[nodiscard]] std::string word(const std::string& name) const;
  [[nodiscard]] Bytes bytes(const std::string& name) const;
  [[nodiscard]] bool valid() const;  // result = valid | invalid
  [[nodiscard]] std::string unused() const;

 private:
  std::map<std::string, std::string> values_;
  mutable std::set<std::string> used_{"id", "function", "source"};
};

struct VectorFile {
  std::string function;
  std::vector<Record> records;
};

[[nodiscard]] VectorFile read_vector_file(const std::filesystem::path& path);

}  // namespace cygnet::vectors
