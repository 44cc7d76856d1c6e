// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the two halves of ESP through OpenSSL share.
#include "crypto/esp_transform.h"
#include "crypto/evp.h"

namespace cygnet::crypto {

inline void transform_in_place(EVP_CIPHER_CTX* context, MutableByteView data) {
  if (data.empty()) return;
  int written = 0;
  require_ok(EVP_CipherUpdate(context, data.data(), &written, data.data(), int_size(data.size())));
  require(written == int_size(data.size()));
}

[[nodiscard]] std::unique_ptr<EspCipher> create_openssl_esp_aead(const model::SaSpec& spec, const EspKeys& keys);

}  // namespace cygnet::crypto
