// SPDX-License-Identifier: Apache-2.0
#pragma once

// Algorithms that RFC 8247 and RFC 8221 say not to use any more, by their IANA numbers: only for connections that ask
// for them, for clients that can do nothing better.
#include "model/transform.h"

namespace cygnet::model::legacy {

inline constexpr auto kPrfHmacSha1 = static_cast<PrfId>(2);
inline constexpr auto kModp1024 = static_cast<KeGroup>(2);
inline constexpr auto kModp1536 = static_cast<KeGroup>(5);

[[nodiscard]] constexpr bool is_legacy(const Transform& t) {
  switch (t.type) {
    case TransformType::kPrf: return t.id == static_cast<std::uint16_t>(kPrfHmacSha1);
    case TransformType::kEncryption: return t.id == static_cast<std::uint16_t>(EncryptionId::k3DesCbc);
    case TransformType::kIntegrity:
      return t.id == static_cast<std::uint16_t>(IntegrityId::kHmacMd5_96) ||
             t.id == static_cast<std::uint16_t>(IntegrityId::kHmacSha1_96);
    case TransformType::kKeyExchange:
      return t.id == static_cast<std::uint16_t>(kModp1024) || t.id == static_cast<std::uint16_t>(kModp1536);
    default: return false;
  }
}

}  // namespace cygnet::model::legacy
