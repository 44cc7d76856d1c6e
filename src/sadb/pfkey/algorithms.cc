// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/algorithms.h"

#include <algorithm>
#include <array>

#include "model/transform.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;

// RFC and IANA numbers of IKEv2 beside PF_KEY's.
struct EncryptRow {
  pf::EncryptAlgorithm number;
  std::uint16_t transform;
  std::string_view name;
  std::uint16_t min_bits, max_bits;  // in steps of 64
  std::uint8_t salt_octets, iv_octets;
  bool combined;
};
using E = pf::EncryptAlgorithm;
constexpr auto kEncrypt = std::to_array<EncryptRow>({
    {E::kAesGcm16, 20, "aes-gcm-16", 128, 256, 4, 8, true},
    {E::kChaCha20Poly1305, 28, "chacha20-poly1305", 256, 256, 4, 8, true},
    {E::kAesCbc, 12, "aes-cbc", 128, 256, 0, 16, false},
    {E::kAesCcm16, 16, "aes-ccm-16", 128, 256, 3, 8, true},
    {E::kAesCcm12, 15, "aes-ccm-12", 128, 256, 3, 8, true},
    {E::kAesCcm8, 14, "aes-ccm-8", 128, 256, 3, 8, true},
    {E::kAesGcm12, 19, "aes-gcm-12", 128, 256, 4, 8, true},
    {E::kAesGcm8, 18, "aes-gcm-8", 128, 256, 4, 8, true},
    {E::kAesCtr, 13, "aes-ctr", 128, 256, 4, 8, false},
    {E::kCamelliaCbc, 23, "camellia-cbc", 128, 256, 0, 16, false},
    {E::kAesGmac, 21, "aes-gmac", 128, 256, 4, 8, true},
    {E::k3Des, 3, "3des-cbc", 192, 192, 0, 8, false},
    {E::kNull, 11, "null", 0, 0, 0, 0, false},
});

struct AuthRow {
  pf::AuthAlgorithm number;
  std::uint16_t transform;
  std::string_view name;
  std::uint16_t bits;  // salt included
  bool ah_only = false;
};
using A = pf::AuthAlgorithm;
constexpr auto kAuth = std::to_array<AuthRow>({
    {A::kSha2_256, 12, "hmac-sha2-256", 256},
    {A::kSha2_384, 13, "hmac-sha2-384", 384},
    {A::kSha2_512, 14, "hmac-sha2-512", 512},
    {A::kSha1, 2, "hmac-sha1", 160},
    {A::kAesXcbc, 5, "aes-xcbc-mac", 128},
    {A::kMd5, 1, "hmac-md5", 128},
    {A::kSha2_256_96, static_cast<std::uint16_t>(model::IntegrityId::kHmacSha2_256_96), "hmac-sha2-256-96", 256},
    {A::kAes128Gmac, 9, "aes128-gmac", 160, true},
    {A::kAes192Gmac, 10, "aes192-gmac", 224, true},
    {A::kAes256Gmac, 11, "aes256-gmac", 288, true},
});

model::EncryptionId id_of(const EncryptRow& row) { return static_cast<model::EncryptionId>(row.transform); }
model::IntegrityId id_of(const AuthRow& row) { return static_cast<model::IntegrityId>(row.transform); }

// The key length attribute of IKEv2 exists for ciphers of several lengths only.
std::uint16_t key_bits_of(const EncryptRow& row, std::uint16_t bits) {
  return row.min_bits == row.max_bits ? std::uint16_t{0} : bits;
}

PfkeyResult<const AuthRow*> find_auth(pf::AuthAlgorithm number, std::size_t bits) {
  const auto* row = std::ranges::find(kAuth, number, &AuthRow::number);
  if (row == kAuth.end()) {
    return refuse(EINVAL, "authentication algorithm " + std::to_string(static_cast<unsigned>(number)) +
                              " is not built in: setkey -D shows none that it can be replaced by; use hmac-sha2-256");
  }
  if (bits != row->bits) {
    return refuse(EINVAL, std::string(row->name) + " takes a key of " + std::to_string(row->bits) + " bits, not " +
                              std::to_string(bits));
  }
  return row;
}

bool bits_fit(const EncryptRow& row, std::size_t bits) {
  return bits >= row.min_bits && bits <= row.max_bits && (bits - row.min_bits) % 64 == 0;
}

PfkeyResult<const EncryptRow*> find_encrypt(pf::EncryptAlgorithm number, std::size_t bits) {
  // RFC 2367 section 2.3.1: SADB_EALG_NONE. ESP without a cipher is ESP with the NULL cipher.
  if (number == pf::EncryptAlgorithm::kNone) number = pf::EncryptAlgorithm::kNull;
  const auto* row = std::ranges::find(kEncrypt, number, &EncryptRow::number);
  if (row == kEncrypt.end()) {
    return refuse(EINVAL, "encryption algorithm " + std::to_string(static_cast<unsigned>(number)) +
                              " is not built in: use aes-gcm-16 or aes-cbc");
  }
  const std::size_t salt_bits = row->salt_octets * 8U;
  if (bits < salt_bits || !bits_fit(*row, bits - salt_bits)) {
    std::string text = std::string(row->name) + " takes a key of " + std::to_string(row->min_bits + salt_bits);
    if (row->max_bits != row->min_bits) text += " to " + std::to_string(row->max_bits + salt_bits);
    text += " bits";
    if (salt_bits != 0) text += " (the last " + std::to_string(salt_bits) + " are the salt)";
    return refuse(EINVAL, text + ", not " + std::to_string(bits));
  }
  return row;
}

bool is_for_ah_only(const pf::SupportedAlgorithm& auth) {
  const auto* row = std::ranges::find(kAuth, static_cast<pf::AuthAlgorithm>(auth.id), &AuthRow::number);
  return row != kAuth.end() && row->ah_only;
}

bool is_absent(pf::AuthAlgorithm auth) { return auth == pf::AuthAlgorithm::kNone || auth == pf::AuthAlgorithm::kNull; }

}  // namespace

PfkeyResult<PfkeyTransforms> transforms_of(const pf::SaExtension& sa, std::size_t encrypt_bits, std::size_t auth_bits) {
  const auto encrypt = find_encrypt(sa.encrypt, encrypt_bits);
  if (!encrypt) return std::unexpected(encrypt.error());
  PfkeyTransforms out;
  out.encryption = id_of(**encrypt);
  out.encryption_bits = key_bits_of(**encrypt, static_cast<std::uint16_t>(encrypt_bits - (*encrypt)->salt_octets * 8U));
  if (is_absent(sa.auth)) {
    if (auth_bits != 0) return refuse(EINVAL, "there is an authentication key and no algorithm for it");
    // RFC 8221 section 4: encryption without authentication "MUST NOT be used".
    if (!(*encrypt)->combined) {
      return refuse(EINVAL, std::string((*encrypt)->name) +
                                " protects nothing from being changed: add an authentication algorithm (-A), or use "
                                "aes-gcm-16 (RFC 8221 section 4)");
    }
    return out;
  }
  if ((*encrypt)->combined) {
    return refuse(EINVAL, std::string((*encrypt)->name) +
                              " authenticates by itself and takes no second algorithm (RFC 4303 section 3.2.3)");
  }
  const auto auth = find_auth(sa.auth, auth_bits);
  if (!auth) return std::unexpected(auth.error());
  if ((*auth)->ah_only) {
    return refuse(EINVAL, std::string((*auth)->name) + " is for ah; esp has it as a cipher: -E aes-gmac (RFC 4543)");
  }
  out.integrity = id_of(**auth);
  return out;
}

PfkeyResult<model::IntegrityId> integrity_of_ah(const pf::SaExtension& sa, std::size_t encrypt_bits,
                                                std::size_t auth_bits) {
  if (sa.encrypt != pf::EncryptAlgorithm::kNone || encrypt_bits != 0) {
    return refuse(EINVAL, "ah encrypts nothing: it takes an authentication algorithm alone");
  }
  if (is_absent(sa.auth)) return refuse(EINVAL, "ah needs an authentication algorithm (-A)");
  const auto auth = find_auth(sa.auth, auth_bits);
  if (!auth) return std::unexpected(auth.error());
  return id_of(**auth);
}

PfkeySupported supported_by(const PfkeyEngine& engine) {
  PfkeySupported out;
  for (const auto& row : kAuth) {
    const auto beside = row.ah_only ? model::EncryptionId::kNone : model::EncryptionId::kAesCbc;
    if (engine.supports(beside, row.ah_only ? 0 : 128, id_of(row))) {
      out.auth.algorithms.push_back({static_cast<std::uint8_t>(row.number), 0, row.bits, row.bits});
    }
  }
  for (const auto& row : kEncrypt) {
    const auto integrity = row.combined ? model::IntegrityId::kNone : model::IntegrityId::kHmacSha2_256_128;
    std::optional<pf::SupportedAlgorithm> found;
    for (std::uint16_t bits = row.min_bits; bits <= row.max_bits; bits = static_cast<std::uint16_t>(bits + 64)) {
      if (!engine.supports(id_of(row), key_bits_of(row, bits), integrity)) continue;
      if (!found) found = pf::SupportedAlgorithm{static_cast<std::uint8_t>(row.number), row.iv_octets, bits, bits};
      found->max_bits = bits;
    }
    if (found) out.encrypt.algorithms.push_back(*found);
  }
  return out;
}

pf::ProposalExtension proposal_of(const PfkeySupported& supported, pf::SaType type) {
  pf::ProposalExtension proposal{.replay = 32, .combinations = {}};
  for (const auto& auth : supported.auth.algorithms) {
    if (type != pf::SaType::kAh) break;
    pf::Combination combination{.auth = static_cast<pf::AuthAlgorithm>(auth.id),
                                .auth_min_bits = auth.min_bits,
                                .auth_max_bits = auth.max_bits,
                                .hard = {.add_time = 28800}};
    combination.soft.add_time = 24000;
    proposal.combinations.push_back(combination);
  }
  if (type == pf::SaType::kAh) return proposal;
  for (const auto& encrypt : supported.encrypt.algorithms) {
    const auto* row = std::ranges::find(kEncrypt, static_cast<pf::EncryptAlgorithm>(encrypt.id), &EncryptRow::number);
    pf::Combination combination{.encrypt = row->number,
                                .encrypt_min_bits = encrypt.min_bits,
                                .encrypt_max_bits = encrypt.max_bits,
                                .hard = {.add_time = 28800}};
    combination.soft.add_time = 24000;
    if (row->combined) {
      proposal.combinations.push_back(combination);
      continue;
    }
    for (const auto& auth : supported.auth.algorithms) {
      if (is_for_ah_only(auth)) continue;
      combination.auth = static_cast<pf::AuthAlgorithm>(auth.id);
      combination.auth_min_bits = auth.min_bits;
      combination.auth_max_bits = auth.max_bits;
      proposal.combinations.push_back(combination);
    }
  }
  return proposal;
}

}  // namespace cygnet::sadb
