// SPDX-License-Identifier: Apache-2.0
#include "sadb/kernel/algorithms.h"

#include <algorithm>
#include <array>

namespace cygnet::sadb::kernel {
namespace {

using model::EncryptionId;
using model::IntegrityId;

constexpr std::uint32_t kBits = 8;

struct AeadName {
  EncryptionId id;
  std::string_view name;
  std::uint32_t tag_octets;
};
constexpr std::array kAeads{
    AeadName{EncryptionId::kAesGcm8, "rfc4106(gcm(aes))", 8},
    AeadName{EncryptionId::kAesGcm12, "rfc4106(gcm(aes))", 12},
    AeadName{EncryptionId::kAesGcm16, "rfc4106(gcm(aes))", 16},
    AeadName{EncryptionId::kAesCcm8, "rfc4309(ccm(aes))", 8},
    AeadName{EncryptionId::kAesCcm12, "rfc4309(ccm(aes))", 12},
    AeadName{EncryptionId::kAesCcm16, "rfc4309(ccm(aes))", 16},
    AeadName{EncryptionId::kNullAesGmac, "rfc4543(gcm(aes))", 16},
    AeadName{EncryptionId::kChaCha20Poly1305, "rfc7539esp(chacha20,poly1305)", 16},
};

struct CipherName {
  EncryptionId id;
  std::string_view name;
};
constexpr std::array kCiphers{
    CipherName{EncryptionId::kAesCbc, "cbc(aes)"},           CipherName{EncryptionId::kAesCtr, "rfc3686(ctr(aes))"},
    CipherName{EncryptionId::kNull, "ecb(cipher_null)"},     CipherName{EncryptionId::k3DesCbc, "cbc(des3_ede)"},
    CipherName{EncryptionId::kCamelliaCbc, "cbc(camellia)"},
};

struct IntegrityName {
  IntegrityId id;
  std::string_view name;
  std::uint32_t tag_octets;
};
constexpr std::array kIntegrities{
    IntegrityName{IntegrityId::kHmacMd5_96, "hmac(md5)", 12},
    IntegrityName{IntegrityId::kHmacSha1_96, "hmac(sha1)", 12},
    IntegrityName{IntegrityId::kAesXcbc96, "xcbc(aes)", 12},
    IntegrityName{IntegrityId::kAesCmac96, "cmac(aes)", 12},
    IntegrityName{IntegrityId::kHmacSha2_256_128, "hmac(sha256)", 16},
    IntegrityName{IntegrityId::kHmacSha2_384_192, "hmac(sha384)", 24},
    IntegrityName{IntegrityId::kHmacSha2_512_256, "hmac(sha512)", 32},
    IntegrityName{IntegrityId::kHmacSha2_256_96, "hmac(sha256)", 12},
};

std::string name_of(EncryptionId id, std::uint16_t bits) {
  return model::to_string({model::TransformType::kEncryption, static_cast<std::uint16_t>(id), bits});
}

Result<void> set_integrity(const model::SaSpec& spec, wire::xfrm::Attributes& attributes) {
  const auto* const found = std::ranges::find(kIntegrities, spec.integrity, &IntegrityName::id);
  if (found == kIntegrities.end()) {
    return fail("the kernel has no name for the integrity algorithm " +
                model::to_string({model::TransformType::kIntegrity, static_cast<std::uint16_t>(spec.integrity), 0}));
  }
  attributes.auth_truncated =
      wire::xfrm::Algorithm{std::string(found->name), spec.integrity_key, found->tag_octets * kBits};
  return {};
}

}  // namespace

Result<void> set_algorithms(const model::SaSpec& spec, wire::xfrm::Attributes& attributes) {
  if (spec.protocol == model::SaProtocol::kAh) return set_integrity(spec, attributes);
  const auto* const aead = std::ranges::find(kAeads, spec.encryption, &AeadName::id);
  if (aead != kAeads.end()) {
    attributes.aead = wire::xfrm::Algorithm{std::string(aead->name), spec.encryption_key, aead->tag_octets * kBits};
    return {};
  }
  const auto* const cipher = std::ranges::find(kCiphers, spec.encryption, &CipherName::id);
  if (cipher == kCiphers.end()) {
    return fail("the kernel has no name for " + name_of(spec.encryption, spec.encryption_bits) +
                ": only Cygnet's own engine has it (engine=user)");
  }
  attributes.crypt = wire::xfrm::Algorithm{std::string(cipher->name), spec.encryption_key, 0};
  return set_integrity(spec, attributes);
}

}  // namespace cygnet::sadb::kernel
