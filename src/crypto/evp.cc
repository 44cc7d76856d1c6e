// SPDX-License-Identifier: Apache-2.0
#include "crypto/evp.h"

#include <array>
#include <cstdlib>

#include "model/legacy.h"

namespace cygnet::crypto {
namespace {

// Fetching costs more than hashing a packet: each algorithm is fetched once and kept until the process ends.
struct Digests {
  const EVP_MD* sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  const EVP_MD* sha2_256 = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
  const EVP_MD* sha2_384 = EVP_MD_fetch(nullptr, "SHA2-384", nullptr);
  const EVP_MD* sha2_512 = EVP_MD_fetch(nullptr, "SHA2-512", nullptr);
};

const Digests& digests() {
  static const Digests kDigests;
  return kDigests;
}

struct CipherRow {
  model::EncryptionId id;
  std::size_t key_octets;
  const EVP_CIPHER* cipher;
};

CipherRow row(model::EncryptionId id, std::size_t key_octets, const char* name) {
  return {id, key_octets, EVP_CIPHER_fetch(nullptr, name, nullptr)};
}

const std::array<CipherRow, 7>& ciphers() {
  using model::EncryptionId;
  static const std::array<CipherRow, 7> kCiphers = {
      row(EncryptionId::kAesGcm16, 16, "AES-128-GCM"),
      row(EncryptionId::kAesGcm16, 24, "AES-192-GCM"),
      row(EncryptionId::kAesGcm16, 32, "AES-256-GCM"),
      row(EncryptionId::kAesCbc, 16, "AES-128-CBC"),
      row(EncryptionId::kAesCbc, 24, "AES-192-CBC"),
      row(EncryptionId::kAesCbc, 32, "AES-256-CBC"),
      row(EncryptionId::kChaCha20Poly1305, 32, "ChaCha20-Poly1305"),
  };
  return kCiphers;
}

}  // namespace

const EVP_MD* digest_of(model::PrfId id) {
  if (id == model::legacy::kPrfHmacSha1) return digests().sha1;
  switch (id) {
    case model::PrfId::kHmacSha2_256: return digests().sha2_256;
    case model::PrfId::kHmacSha2_384: return digests().sha2_384;
    case model::PrfId::kHmacSha2_512: return digests().sha2_512;
    case model::PrfId::kNone: break;
  }
  return nullptr;
}

const EVP_MD* digest_of(model::IntegrityId id) {
  if (id == model::legacy::kHmacSha1_96) return digests().sha1;
  if (id == model::legacy::kHmacSha2_256_96) return digests().sha2_256;
  switch (id) {
    case model::IntegrityId::kHmacSha2_256_128: return digests().sha2_256;
    case model::IntegrityId::kHmacSha2_384_192: return digests().sha2_384;
    case model::IntegrityId::kHmacSha2_512_256: return digests().sha2_512;
    case model::IntegrityId::kNone: break;
  }
  return nullptr;
}

const EVP_CIPHER* cipher_of(model::EncryptionId id, std::size_t key_octets) {
  for (const auto& entry : ciphers()) {
    if (entry.id == id && entry.key_octets == key_octets) return entry.cipher;
  }
  return nullptr;
}

const EVP_MD* sha1_digest() { return digests().sha1; }
const EVP_MD* sha256_digest() { return digests().sha2_256; }

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace cygnet::crypto
