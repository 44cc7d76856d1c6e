// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the monitor asks of the process that speaks to tokens, and what that finds. Both travel in memory files: a PIN
// stays in no buffer on its way, and certificates may be larger than a message.
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::daemon {

struct TokenKey {
  std::string uri;     // RFC 7512, checked by the configuration
  SecretBytes pin;     // empty: none
  std::string source;  // "file:line"
  bool operator==(const TokenKey&) const = default;
};
struct TokenWork {
  std::string module;  // the library for URIs without module-path; empty: p11-kit's, which knows all that are installed
  std::vector<TokenKey> keys;
  std::vector<std::string> certificates;  // URIs
  [[nodiscard]] bool empty() const { return keys.empty() && certificates.empty(); }
  bool operator==(const TokenWork&) const = default;
};
struct TokenCertificate {
  std::string uri;
  Bytes der;
  bool operator==(const TokenCertificate&) const = default;
};

inline constexpr std::size_t kMaxTokenFile = 4UL << 20U;
inline constexpr std::size_t kMaxTokenCertificate = 64UL << 10U;

// The caller wipes the text.
[[nodiscard]] std::string encode_token_work(const TokenWork& work);
[[nodiscard]] Result<TokenWork> decode_token_work(const std::string& text);
[[nodiscard]] std::string encode_token_certificates(const std::vector<TokenCertificate>& certificates);
[[nodiscard]] Result<std::vector<TokenCertificate>> decode_token_certificates(const std::string& text);

}  // namespace cygnet::daemon
