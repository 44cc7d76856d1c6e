// SPDX-License-Identifier: Apache-2.0
#include "crypto/esp_cipher.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "crypto/esp_transform.h"
#include "crypto/evp.h"
#include "crypto/mac.h"

namespace cygnet::crypto {
namespace {

std::string octets_text(std::string_view what, std::size_t has, std::size_t needs) {
  return "the " + std::string(what) + " key has " + std::to_string(has) + " octets, the algorithm takes " +
         std::to_string(needs);
}

Result<> check_algorithms(const model::SaSpec& spec) {
  const bool with_integrity = spec.integrity != model::IntegrityId::kNone;
  const std::size_t key = model::key_octets(spec.encryption, spec.encryption_bits);
  const bool null = spec.encryption == model::EncryptionId::kNull;
  if (!null && (spec.encryption_bits % 8 != 0 || cipher_of(spec.encryption, key) == nullptr)) {
    return fail("ESP encryption number " + std::to_string(static_cast<unsigned>(spec.encryption)) + " with " +
                std::to_string(spec.encryption_bits) + " bits is not built in");
  }
  if (model::iv_octets(spec.integrity) != 0) {
    return fail("AES-GMAC is an integrity algorithm of AH; ESP has it as the cipher null_auth_aes_gmac (RFC 4543)");
  }
  if (with_integrity && !is_known_mac(spec.integrity)) {
    return fail("ESP integrity number " + std::to_string(static_cast<unsigned>(spec.integrity)) + " is not built in");
  }
  if (model::is_aead(spec.encryption) && with_integrity) {
    return fail("a combined-mode cipher takes no integrity algorithm beside it (RFC 4303 section 3.2.3)");
  }
  // RFC 8221 section 4: encryption without authentication "MUST NOT be used".
  if (!model::is_aead(spec.encryption) && !with_integrity) {
    return fail("an ESP SA without integrity protection is refused (RFC 8221 section 4); add an HMAC or take an AEAD");
  }
  return {};
}

Result<EspKeys> cut_keys(const model::SaSpec& spec) {
  const std::size_t salt = model::salt_octets(spec.encryption);
  const std::size_t key = model::key_octets(spec.encryption, spec.encryption_bits);
  if (spec.encryption_key.size() != key + salt)
    return fail(octets_text("encryption", spec.encryption_key.size(), key + salt));
  const std::size_t integrity = model::is_aead(spec.encryption) ? 0 : model::key_octets(spec.integrity);
  if (spec.integrity_key.size() != integrity)
    return fail(octets_text("integrity", spec.integrity_key.size(), integrity));
  EspKeys keys{.key = ByteView(spec.encryption_key).first(key), .integrity_key = spec.integrity_key};
  std::ranges::copy(ByteView(spec.encryption_key).last(salt), keys.salt.octets.begin());
  keys.salt.size = salt;
  return keys;
}

// CBC and HMAC are serial within a packet: intel-ipsec-mb works on many packets side by side and takes as long for one
// as for all its lanes. A short burst is done sooner one packet after the other.
class ByBurstSize final : public EspTransform {
 public:
  ByBurstSize(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec),
        few_(create_openssl_esp_cipher(spec, keys)),
        many_(create_ipsec_mb_esp_cipher(spec, keys)) {}
  void seal(std::span<EspJob> jobs) override { (jobs.size() < kMany ? *few_ : *many_).seal(jobs); }
  void open(std::span<EspJob> jobs) override { (jobs.size() < kMany ? *few_ : *many_).open(jobs); }

 private:
  // Measured with 1456 octets, AVX512: the two are level at 3 (HMAC-SHA2-512) to 6 packets (NULL with HMAC-SHA2-256).
  static constexpr std::size_t kMany = 5;
  std::unique_ptr<EspCipher> few_;
  std::unique_ptr<EspCipher> many_;
};

// The other transforms are for peers that can do nothing better: they need not be as fast.
bool is_made_for_speed(const model::SaSpec& spec) {
  using model::EncryptionId;
  using model::IntegrityId;
  switch (spec.encryption) {
    case EncryptionId::kAesGcm8:
    case EncryptionId::kAesGcm12:
    case EncryptionId::kAesGcm16:
    case EncryptionId::kAesGcm16ImplicitIv:
    case EncryptionId::kChaCha20Poly1305: return true;
    case EncryptionId::kAesCbc:
    case EncryptionId::kNull:
      return spec.integrity == IntegrityId::kHmacSha2_256_128 || spec.integrity == IntegrityId::kHmacSha2_384_192 ||
             spec.integrity == IntegrityId::kHmacSha2_512_256;
    default: return false;
  }
}

std::unique_ptr<EspCipher> create_with(EspProvider provider, const model::SaSpec& spec, const EspKeys& keys) {
  if (provider == EspProvider::kOpenSsl || !is_made_for_speed(spec) || !ipsec_mb_available())
    return create_openssl_esp_cipher(spec, keys);
  if (provider == EspProvider::kIpsecMb || model::is_aead(spec.encryption))
    return create_ipsec_mb_esp_cipher(spec, keys);
  return std::make_unique<ByBurstSize>(spec, keys);
}

// Of a hundred thousand tunnels most are idle: the tables that make a cipher fast take more memory than the rest of an
// SA, and are made when its first packet comes.
class OnFirstUse final : public EspTransform {
 public:
  OnFirstUse(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec),
        encryption_(spec.encryption),
        encryption_bits_(spec.encryption_bits),
        integrity_(spec.integrity),
        salt_(keys.salt),
        key_(keys.key.begin(), keys.key.end()),
        integrity_key_(keys.integrity_key.begin(), keys.integrity_key.end()) {}
  ~OnFirstUse() override { wipe(salt_.octets); }
  void seal(std::span<EspJob> jobs) override { cipher().seal(jobs); }
  void open(std::span<EspJob> jobs) override { cipher().open(jobs); }
  [[nodiscard]] EspCipher& ready() override { return cipher(); }

 private:
  EspCipher& cipher() {
    if (cipher_ == nullptr) {
      cipher_ = create_with(EspProvider::kBest,
                            {.encryption = encryption_,
                             .encryption_bits = encryption_bits_,
                             .integrity = integrity_,
                             .esn = esn(),
                             .iv_mask = iv_mask()},
                            {.key = key_, .salt = salt_, .integrity_key = integrity_key_});
      wipe(salt_.octets);
      key_ = {};
      integrity_key_ = {};
    }
    return *cipher_;
  }

  model::EncryptionId encryption_;
  std::uint16_t encryption_bits_;
  model::IntegrityId integrity_;
  Salt salt_;
  SecretBytes key_;
  SecretBytes integrity_key_;
  std::unique_ptr<EspCipher> cipher_;
};

}  // namespace

Result<std::unique_ptr<EspCipher>> create_esp_cipher(const model::SaSpec& spec, EspProvider provider) {
  if (const auto sound = check_algorithms(spec); !sound) return std::unexpected(sound.error());
  auto keys = cut_keys(spec);
  if (!keys) return std::unexpected(keys.error());
  if (provider == EspProvider::kIpsecMb && !is_available(provider)) {
    return fail("intel-ipsec-mb is not in this build or does not run on this CPU");
  }
  auto cipher =
      provider == EspProvider::kBest ? std::make_unique<OnFirstUse>(spec, *keys) : create_with(provider, spec, *keys);
  wipe(keys->salt.octets);
  return cipher;
}

bool is_available(EspProvider provider) { return provider != EspProvider::kIpsecMb || ipsec_mb_available(); }

std::string provider_name(model::EncryptionId encryption) {
  if (encryption == model::EncryptionId::kNone) return "none";
  if (ipsec_mb_available()) return ipsec_mb_name();
  return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING);
}

}  // namespace cygnet::crypto
