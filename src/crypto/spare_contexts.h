// SPDX-License-Identifier: Apache-2.0
#pragma once

// Contexts of OpenSSL's digests that nobody uses now, each begun anew so that nothing of what it hashed is left in it.
// Making and freeing one costs as much as hashing a block, and a set-up makes some twenty short hashes.
#include <vector>

#include "crypto/evp.h"

namespace cygnet::crypto {

class SpareContexts {
 public:
  [[nodiscard]] static SpareContexts& of_this_thread();
  // Ready for the first octet.
  [[nodiscard]] DigestContext take(const EVP_MD* digest);
  void give(DigestContext context);

 private:
  static constexpr std::size_t kMost = 4;
  std::vector<DigestContext> spare_;
};

}  // namespace cygnet::crypto
