// SPDX-License-Identifier: Apache-2.0
#pragma once

// HMAC (RFC 2104) with its key prepared once, computed again and again without allocating.
#include <array>

#include "base/bytes.h"
#include "crypto/evp.h"

namespace cygnet::crypto {

inline constexpr std::size_t kMaxDigestOctets = 64;  // SHA2-512
inline constexpr std::size_t kMaxHashBlock = 128;    // SHA2-384 and SHA2-512

class Hmac {
 public:
  // digest must not be null; a key of any length.
  Hmac(const EVP_MD* digest, ByteView key);
  ~Hmac();
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  [[nodiscard]] std::size_t octets() const { return octets_; }
  void start();
  void update(ByteView data);
  // Writes octets() octets: the whole output, truncation is the caller's.
  void finish(std::array<std::uint8_t, kMaxDigestOctets>& out);

 private:
  using Block = std::array<std::uint8_t, kMaxHashBlock>;
  void restart_with(const Block& block);

  DigestContext context_;
  std::size_t octets_;
  std::size_t block_octets_;
  Block inner_{};  // key XOR ipad
  Block outer_{};  // key XOR opad
};

}  // namespace cygnet::crypto
