// SPDX-License-Identifier: Apache-2.0
#pragma once

// pkcs11: URIs (RFC 7512): which key or certificate on which token.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::model {

struct Pkcs11Uri {
  static constexpr std::size_t kMaxOctets = 1024;

  // Empty: whichever.
  std::string token, manufacturer, serial, model;  // of the token
  std::string object;                              // CKA_LABEL
  std::string type;                                // "private", "public" or "cert"
  Bytes id;                                        // CKA_ID
  std::optional<std::uint64_t> slot_id;
  std::string module_path;  // the library to ask; empty: the configured one

  // The error names the attribute. Refused beside what is malformed: attributes that are not looked at (a key found in
  // spite of them might be another one), and PINs inside the URI, which would show wherever it does.
  [[nodiscard]] static Result<Pkcs11Uri> parse(std::string_view text);
  // The token in words, for messages: "token 'vpn'".
  [[nodiscard]] std::string token_text() const;
  bool operator==(const Pkcs11Uri&) const = default;
};

[[nodiscard]] inline bool is_pkcs11_uri(std::string_view text) { return text.starts_with("pkcs11:"); }

}  // namespace cygnet::model
