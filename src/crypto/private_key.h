// SPDX-License-Identifier: Apache-2.0
#pragma once

// Private keys. Used in the keys process (and in tests), nowhere else.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/public_key.h"

namespace cygnet::crypto {

class PrivateKey {
 public:
  // PEM or DER; PKCS#1, SEC1, PKCS#8, encrypted PKCS#8 and traditional PEM encryption. The error says what is wrong
  // ("passphrase is wrong or missing", …), never a byte of the key.
  [[nodiscard]] static Result<PrivateKey> load(ByteView bytes, ByteView passphrase);

  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  // The scheme must fit the key. Not reproducible where the scheme is randomized (ECDSA, PSS).
  [[nodiscard]] Result<Bytes> sign(SignatureScheme scheme, EcdsaForm form, ByteView octets) const;

 private:
  explicit PrivateKey(PublicKey public_key) : public_key_(std::move(public_key)) {}
  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_key_;
};

// PKCS#12 (RFC 7292), taken apart. The key is returned as unencrypted PKCS#8 PEM.
struct Pkcs12 {
  SecretBytes private_key_pem;     // empty: holds none
  Bytes certificate;               // DER; that of the private key; empty: none
  std::vector<Bytes> authorities;  // DER, all others
  std::string friendly_name;
};
// Its outer shape only: no passphrase needed.
[[nodiscard]] bool looks_like_pkcs12(ByteView bytes);
[[nodiscard]] Result<Pkcs12> parse_pkcs12(ByteView bytes, ByteView passphrase);

}  // namespace cygnet::crypto
