// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the configuration names on PKCS#11 tokens, on its way to the process that asks them and back.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/file_reader.h"
#include "daemon/config_bundle.h"
#include "daemon/token_role/token_work.h"

namespace cygnet::daemon {

// Certificates on tokens are read as if they were files.
class FilesAndTokens final : public config::FileReader {
 public:
  FilesAndTokens(config::FileReader& files, const std::map<std::string, std::string>& on_tokens)
      : files_(files), on_tokens_(on_tokens) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) override;
  [[nodiscard]] std::vector<std::string> glob(const std::string& pattern) override { return files_.glob(pattern); }

 private:
  config::FileReader& files_;
  const std::map<std::string, std::string>& on_tokens_;
};

struct TokenNews {
  bool changed = false;
  std::size_t left_out = 0;  // which nobody has asked for, or which are too long
};
// Into `known` (URI to DER), which holds no more than what is asked for.
[[nodiscard]] TokenNews take_certificates(std::map<std::string, std::string>& known, const std::set<std::string>& asked,
                                          const std::vector<TokenCertificate>& shown);

[[nodiscard]] TokenWork token_work_of(const Configuration& configuration);

}  // namespace cygnet::daemon
