// SPDX-License-Identifier: Apache-2.0
#include "crypto/evp.h"

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "model/legacy.h"

namespace cygnet::crypto {
namespace {

// Fetching costs more than hashing a packet: each algorithm is fetched once and kept until the process ends.
struct Digests {
  const EVP_MD* md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);  // null in FIPS builds of OpenSSL
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

// AES with each of its key lengths. mode: "GCM"
void add_aes(std::vector<CipherRow>& rows, std::initializer_list<model::EncryptionId> ids, const std::string& mode) {
  for (const std::size_t octets : {16, 24, 32}) {
    const auto first = rows.size();
    for (const auto id : ids) {
      if (rows.size() == first) {
        rows.push_back(row(id, octets, ("AES-" + std::to_string(octets * 8) + "-" + mode).c_str()));
      } else {
        rows.push_back({id, octets, rows[first].cipher});
      }
    }
  }
}

std::vector<CipherRow> fetch_ciphers() {
  using model::EncryptionId;
  std::vector<CipherRow> rows;
  add_aes(rows,
          {EncryptionId::kAesGcm16, EncryptionId::kAesGcm8, EncryptionId::kAesGcm12, EncryptionId::kNullAesGmac,
           EncryptionId::kAesGcm16ImplicitIv},
          "GCM");
  add_aes(rows, {EncryptionId::kAesCbc}, "CBC");
  add_aes(rows, {EncryptionId::kAesCtr}, "CTR");
  add_aes(rows,
          {EncryptionId::kAesCcm16, EncryptionId::kAesCcm8, EncryptionId::kAesCcm12, EncryptionId::kAesCcm8ImplicitIv},
          "CCM");
  rows.push_back(row(EncryptionId::kCamelliaCbc, 16, "CAMELLIA-128-CBC"));
  rows.push_back(row(EncryptionId::kCamelliaCbc, 24, "CAMELLIA-192-CBC"));
  rows.push_back(row(EncryptionId::kCamelliaCbc, 32, "CAMELLIA-256-CBC"));
  rows.push_back(row(EncryptionId::k3DesCbc, 24, "DES-EDE3-CBC"));
  rows.push_back(row(EncryptionId::kChaCha20Poly1305, 32, "ChaCha20-Poly1305"));
  rows.push_back({EncryptionId::kChaCha20Poly1305ImplicitIv, 32, rows.back().cipher});
  return rows;
}

const std::vector<CipherRow>& ciphers() {
  // Never destroyed: as the digests, the ciphers are used until the process ends.
  static const auto& kCiphers = *new std::vector<CipherRow>(fetch_ciphers());
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
  switch (id) {
    case model::IntegrityId::kHmacMd5_96: return digests().md5;
    case model::IntegrityId::kHmacSha1_96: return digests().sha1;
    case model::IntegrityId::kHmacSha2_256_96:
    case model::IntegrityId::kHmacSha2_256_128: return digests().sha2_256;
    case model::IntegrityId::kHmacSha2_384_192: return digests().sha2_384;
    case model::IntegrityId::kHmacSha2_512_256: return digests().sha2_512;
    case model::IntegrityId::kAesXcbc96:
    case model::IntegrityId::kAesCmac96:
    case model::IntegrityId::kAes128Gmac:
    case model::IntegrityId::kAes192Gmac:
    case model::IntegrityId::kAes256Gmac:
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
