// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the implementations share of OpenSSL: owners, and algorithms fetched once for the life of the process.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <memory>

#include "model/transform.h"

namespace cygnet::crypto {

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeWith<EVP_MAC_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, FreeWith<BN_clear_free>>;
using NumberContext = std::unique_ptr<BN_CTX, FreeWith<BN_CTX_free>>;
using CurvePoint = std::unique_ptr<EC_POINT, FreeWith<EC_POINT_clear_free>>;

// Null for algorithms that have none here (kNone, unknown numbers). The caller does not own the result.
[[nodiscard]] const EVP_MD* digest_of(model::PrfId id);
[[nodiscard]] const EVP_MD* digest_of(model::IntegrityId id);  // of the HMACs
[[nodiscard]] const EVP_CIPHER* cipher_of(model::EncryptionId id, std::size_t key_octets);
[[nodiscard]] const EVP_MD* sha1_digest();
[[nodiscard]] const EVP_MD* sha256_digest();

// For calls that fail only when memory is gone or OpenSSL is broken: there is no sane way on.
void require(bool condition);
inline void require_ok(int openssl_result) { require(openssl_result == 1); }

// Lengths reach OpenSSL as int; everything here is bounded by a datagram or a key.
[[nodiscard]] inline int int_size(std::size_t n) { return static_cast<int>(n); }

}  // namespace cygnet::crypto
