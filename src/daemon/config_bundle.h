// SPDX-License-Identifier: Apache-2.0
#pragma once

// All configuration text of one moment. The monitor reads the files as root and hands the unprivileged processes the
// same bytes it parsed itself, so that they need no file and cannot ask for any: ike the connections and certificates,
// keys the secrets and private keys.
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "config/file_reader.h"
#include "config/load.h"

namespace cygnet::daemon {

// Remembers whatever was read through it.
class RecordingFiles final : public config::FileReader {
 public:
  explicit RecordingFiles(config::FileReader& from) : from_(from) {}
  ~RecordingFiles() override;  // wipes: there may be secrets among the texts
  RecordingFiles(const RecordingFiles&) = delete;
  RecordingFiles& operator=(const RecordingFiles&) = delete;
  [[nodiscard]] Result<std::string> read(const std::string& path) override;
  [[nodiscard]] std::vector<std::string> glob(const std::string& pattern) override;
  [[nodiscard]] std::string to_text() const;

 private:
  friend class BundledFiles;
  config::FileReader& from_;
  std::map<std::string, Result<std::string>> files_;
  std::map<std::string, std::vector<std::string>> globs_;
};

// Answers from a bundle as RecordingFiles was answered.
class BundledFiles final : public config::FileReader {
 public:
  [[nodiscard]] static Result<BundledFiles> from_text(const std::string& text);
  BundledFiles() = default;
  ~BundledFiles() override;  // wipes
  BundledFiles(BundledFiles&&) = default;
  BundledFiles& operator=(BundledFiles&&) = default;
  [[nodiscard]] Result<std::string> read(const std::string& path) override;
  [[nodiscard]] std::vector<std::string> glob(const std::string& pattern) override;

 private:
  std::map<std::string, Result<std::string>> files_;
  std::map<std::string, std::vector<std::string>> globs_;
};

struct Configuration {
  config::LoadedConfiguration conf;
  config::LoadedSecrets secrets;
  [[nodiscard]] bool ok() const { return conf.ok() && secrets.ok(); }
  // All diagnostics as a compiler prints them.
  [[nodiscard]] std::string problems() const;
};
[[nodiscard]] Configuration load(const std::string& config_path, const std::string& secrets_path,
                                 config::FileReader& files);
[[nodiscard]] Configuration load(const std::string& config_path, config::FileReader& conf_files,
                                 const std::string& secrets_path, config::FileReader& secret_files);

inline constexpr std::size_t kMaxBundle = 256UL << 20U;

}  // namespace cygnet::daemon
