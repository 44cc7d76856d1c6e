// SPDX-License-Identifier: Apache-2.0
#include "sadb/xfrm_server/algorithms.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
namespace xf = wire::xfrm;

struct Cipher {
  std::string_view name, other_name;
  pf::EncryptAlgorithm number;
  std::uint32_t tag_bits;  // 0: no AEAD
};
using E = pf::EncryptAlgorithm;
// The first of a number is how it is shown.
constexpr auto kCiphers = std::to_array<Cipher>({
    {"rfc4106(gcm(aes))", "", E::kAesGcm16, 128},
    {"rfc4106(gcm(aes))", "", E::kAesGcm12, 96},
    {"rfc4106(gcm(aes))", "", E::kAesGcm8, 64},
    {"rfc4309(ccm(aes))", "", E::kAesCcm16, 128},
    {"rfc4309(ccm(aes))", "", E::kAesCcm12, 96},
    {"rfc4309(ccm(aes))", "", E::kAesCcm8, 64},
    {"rfc7539esp(chacha20,poly1305)", "", E::kChaCha20Poly1305, 128},
    {"rfc4543(gcm(aes))", "", E::kAesGmac, 128},
    {"cbc(aes)", "aes", E::kAesCbc, 0},
    {"rfc3686(ctr(aes))", "", E::kAesCtr, 0},
    {"cbc(camellia)", "camellia", E::kCamelliaCbc, 0},
    {"cbc(des3_ede)", "des3_ede", E::k3Des, 0},
    {"ecb(cipher_null)", "cipher_null", E::kNull, 0},
});

struct Mac {
  std::string_view name, other_name;
  pf::AuthAlgorithm number;
  std::uint32_t tag_bits;
  bool by_default;  // what ALG_AUTH without a length means to the kernel
};
using A = pf::AuthAlgorithm;
constexpr auto kMacs = std::to_array<Mac>({
    {"hmac(sha256)", "sha256", A::kSha2_256, 128, false},
    {"hmac(sha256)", "sha256", A::kSha2_256_96, 96, true},
    {"hmac(sha384)", "sha384", A::kSha2_384, 192, true},
    {"hmac(sha512)", "sha512", A::kSha2_512, 256, true},
    {"hmac(sha1)", "sha1", A::kSha1, 96, true},
    {"xcbc(aes)", "", A::kAesXcbc, 96, true},
    {"hmac(md5)", "md5", A::kMd5, 96, true},
});

template <typename Row>
bool is_named(const Row& row, std::string_view name) {
  return row.name == name || (!row.other_name.empty() && row.other_name == name);
}

PfkeyResult<> read_aead(const xf::Algorithm& aead, PfkeySa& sa) {
  const auto* row = std::ranges::find_if(kCiphers, [&](const Cipher& c) {
    return c.tag_bits != 0 && is_named(c, aead.name) && c.tag_bits == aead.tag_bits;
  });
  if (row == kCiphers.end()) {
    return refuse(ENOSYS, "the AEAD " + aead.name + " with a check value of " + std::to_string(aead.tag_bits) +
                              " bits is not built in: use rfc4106(gcm(aes)) with 128");
  }
  sa.encrypt = row->number;
  sa.encrypt_key = aead.key;
  return {};
}

PfkeyResult<> read_cipher(const xf::Algorithm& crypt, PfkeySa& sa) {
  const auto* row =
      std::ranges::find_if(kCiphers, [&](const Cipher& c) { return c.tag_bits == 0 && is_named(c, crypt.name); });
  if (row == kCiphers.end()) {
    return refuse(ENOSYS, "the cipher " + crypt.name + " is not built in: use rfc4106(gcm(aes)) or cbc(aes)");
  }
  sa.encrypt = row->number;
  sa.encrypt_key = crypt.key;
  return {};
}

PfkeyResult<> read_mac(const xf::Algorithm& auth, bool has_length, PfkeySa& sa) {
  const auto* row = std::ranges::find_if(kMacs, [&](const Mac& m) {
    return is_named(m, auth.name) && (has_length && auth.tag_bits != 0 ? m.tag_bits == auth.tag_bits : m.by_default);
  });
  if (row == kMacs.end()) {
    return refuse(ENOSYS, "the authentication algorithm " + auth.name +
                              (has_length ? " cut to " + std::to_string(auth.tag_bits) + " bits" : "") +
                              " is not built in: use hmac(sha256) with 128");
  }
  sa.auth = row->number;
  sa.auth_key = auth.key;
  return {};
}

xf::Algorithm shown(std::string_view name, const SecretBytes& key, bool with_keys, std::uint32_t tag_bits) {
  xf::Algorithm out{std::string(name), key, tag_bits};
  if (!with_keys) std::ranges::fill(out.key, std::uint8_t{0});
  return out;
}

}  // namespace

PfkeyResult<> read_algorithms(const xf::Attributes& attributes, PfkeySa& sa) {
  if (attributes.compress) return refuse(EINVAL, "compression is no algorithm of an ESP SA");
  const bool mac = attributes.auth || attributes.auth_truncated;
  if (attributes.aead && (mac || attributes.crypt)) {
    return refuse(EINVAL, "an AEAD takes no second algorithm (RFC 4303 section 3.2.3)");
  }
  if (sa.sa_type == pf::SaType::kAh) {
    if (attributes.aead || attributes.crypt) return refuse(EINVAL, "AH encrypts nothing: it takes no cipher");
  } else if (attributes.aead) {
    return read_aead(*attributes.aead, sa);
  }
  // Without a cipher: ESP with the NULL cipher.
  if (sa.sa_type != pf::SaType::kAh) sa.encrypt = pf::EncryptAlgorithm::kNull;
  if (attributes.crypt) {
    if (auto read = read_cipher(*attributes.crypt, sa); !read) return read;
  }
  // Who sends both means the one that says its length.
  if (attributes.auth_truncated) return read_mac(*attributes.auth_truncated, true, sa);
  if (attributes.auth) return read_mac(*attributes.auth, false, sa);
  return {};
}

void write_algorithms(const PfkeySa& sa, bool with_keys, xf::Attributes& attributes) {
  if (sa.state == pf::SaState::kLarval) return;
  if (const auto* c = std::ranges::find(kCiphers, sa.encrypt, &Cipher::number); c != kCiphers.end()) {
    (c->tag_bits != 0 ? attributes.aead : attributes.crypt) = shown(c->name, sa.encrypt_key, with_keys, c->tag_bits);
  }
  if (const auto* m = std::ranges::find(kMacs, sa.auth, &Mac::number); m != kMacs.end()) {
    attributes.auth = shown(m->name, sa.auth_key, with_keys, 0);
    attributes.auth_truncated = shown(m->name, sa.auth_key, with_keys, m->tag_bits);
  }
}

}  // namespace cygnet::sadb
