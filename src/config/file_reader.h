// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where configuration text comes from. The parsers know no file system: the daemon's unprivileged part gets its text
// from the monitor, tests from memory, `cygnet check` from disk.
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace cygnet::config {

class FileReader {
 public:
  virtual ~FileReader() = default;
  // The whole file.
  [[nodiscard]] virtual Result<std::string> read(const std::string& path) = 0;
  // The files that match a pattern of include= (shell wildcards * ? [..]), sorted; empty if none.
  [[nodiscard]] virtual std::vector<std::string> glob(const std::string& pattern) = 0;
};

// Files by name, for tests and for text that was read elsewhere.
class MemoryFiles : public FileReader {
 public:
  MemoryFiles() = default;
  explicit MemoryFiles(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  void put(std::string path, std::string text) { files_.insert_or_assign(std::move(path), std::move(text)); }
  [[nodiscard]] Result<std::string> read(const std::string& path) override;
  [[nodiscard]] std::vector<std::string> glob(const std::string& pattern) override;

 private:
  std::map<std::string, std::string> files_;
};

// The file system. Refuses what is not a regular file and what is larger than 16 MiB.
class DiskFiles : public FileReader {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) override;
  [[nodiscard]] std::vector<std::string> glob(const std::string& pattern) override;
};

}  // namespace cygnet::config
