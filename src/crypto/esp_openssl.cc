// SPDX-License-Identifier: Apache-2.0
// ESP through OpenSSL: every CPU, one packet after the other.
#include "crypto/esp_transform.h"
#include "crypto/evp.h"
#include "crypto/hmac.h"

namespace cygnet::crypto {
namespace {

void transform_in_place(EVP_CIPHER_CTX* context, MutableByteView data) {
  if (data.empty()) return;
  int written = 0;
  require_ok(EVP_CipherUpdate(context, data.data(), &written, data.data(), int_size(data.size())));
  require(written == int_size(data.size()));
}

// AES-GCM and ChaCha20-Poly1305: one context serves both directions, keyed once.
class OpensslAead final : public EspTransform {
 public:
  OpensslAead(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec.encryption, model::IntegrityId::kNone, spec.esn),
        context_(EVP_CIPHER_CTX_new()),
        salt_(keys.salt) {
    require(context_ != nullptr);
    const auto* cipher = cipher_of(spec.encryption, keys.key.size());
    require_ok(EVP_CipherInit_ex2(context_.get(), cipher, keys.key.data(), nullptr, 1, nullptr));
  }
  ~OpensslAead() override { wipe(salt_); }

  void seal(std::span<EspJob> jobs) override {
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      store_be64(iv(job), job.sequence);
      start(job, true);
      transform_in_place(context_.get(), payload(job));
      int written = 0;
      require_ok(EVP_CipherFinal_ex(context_.get(), icv(job), &written));
      require_ok(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, int_size(icv_octets()), icv(job)));
    }
  }

  void open(std::span<EspJob> jobs) override {
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      start(job, false);
      require_ok(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, int_size(icv_octets()), icv(job)));
      transform_in_place(context_.get(), payload(job));
      int written = 0;
      std::array<std::uint8_t, 16> rest{};
      job.ok = EVP_CipherFinal_ex(context_.get(), rest.data(), &written) == 1;
      if (!job.ok) wipe(payload(job));
    }
  }

 private:
  void start(const EspJob& job, bool encrypt) {
    const auto nonce = aead_nonce(salt_, iv(job));
    const EspAad aad(job, esn());
    int written = 0;
    require_ok(EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, nonce.data(), encrypt ? 1 : 0, nullptr));
    require_ok(EVP_CipherUpdate(context_.get(), nullptr, &written, aad.view().data(), int_size(aad.view().size())));
  }

  CipherContext context_;
  Salt salt_;
};

// AES-CBC or NULL, then HMAC over what was encrypted (RFC 4303 section 3.3.2).
class OpensslCipherHmac final : public EspTransform {
 public:
  OpensslCipherHmac(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec.encryption, spec.integrity, spec.esn), mac_(digest_of(spec.integrity), keys.integrity_key) {
    if (spec.encryption == model::EncryptionId::kNull) return;
    const auto* cipher = cipher_of(spec.encryption, keys.key.size());
    encrypt_ = keyed_context(cipher, keys.key, true);
    decrypt_ = keyed_context(cipher, keys.key, false);
  }

  void seal(std::span<EspJob> jobs) override {
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      if (encrypt_ != nullptr) encrypt(job);
      const auto tag = packet_mac(job);
      std::memcpy(icv(job), tag.data(), icv_octets());
    }
  }

  void open(std::span<EspJob> jobs) override {
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      const auto tag = packet_mac(job);
      job.ok = constant_time_equal(ByteView(tag).first(icv_octets()), {icv(job), icv_octets()});
      if (!job.ok) {
        wipe(payload(job));
      } else if (decrypt_ != nullptr) {
        require_ok(EVP_CipherInit_ex2(decrypt_.get(), nullptr, nullptr, iv(job), 0, nullptr));
        transform_in_place(decrypt_.get(), payload(job));
      }
    }
  }

 private:
  static CipherContext keyed_context(const EVP_CIPHER* cipher, ByteView key, bool encrypt) {
    CipherContext context(EVP_CIPHER_CTX_new());
    require(context != nullptr);
    require_ok(EVP_CipherInit_ex2(context.get(), cipher, key.data(), nullptr, encrypt ? 1 : 0, nullptr));
    require_ok(EVP_CIPHER_CTX_set_padding(context.get(), 0));
    return context;
  }

  // The sequence number goes in front as a block of its own under an IV of zeros: its ciphertext is the packet's IV,
  // and the chain goes on from there as CBC with that IV.
  void encrypt(const EspJob& job) {
    static constexpr std::array<std::uint8_t, 16> kZeros{};
    store_be64(iv(job), 0);
    store_be64(iv(job) + 8, job.sequence);
    require_ok(EVP_CipherInit_ex2(encrypt_.get(), nullptr, nullptr, kZeros.data(), 1, nullptr));
    transform_in_place(encrypt_.get(), {iv(job), iv_octets() + payload(job).size()});
  }

  // RFC 4303 section 2.2.1: with ESN the high-order 32 bits are appended after the Next Header field for the ICV only.
  std::array<std::uint8_t, kMaxDigestOctets> packet_mac(const EspJob& job) {
    mac_.start();
    mac_.update({job.esp, job.octets - icv_octets()});
    if (esn()) {
      std::array<std::uint8_t, kEsnHighOctets> high{};
      store_be32(high.data(), static_cast<std::uint32_t>(job.sequence >> 32));
      mac_.update(high);
    }
    std::array<std::uint8_t, kMaxDigestOctets> tag{};
    mac_.finish(tag);
    return tag;
  }

  Hmac mac_;
  CipherContext encrypt_;
  CipherContext decrypt_;
};

}  // namespace

std::unique_ptr<EspCipher> create_openssl_esp_cipher(const model::SaSpec& spec, const EspKeys& keys) {
  if (model::is_aead(spec.encryption)) return std::make_unique<OpensslAead>(spec, keys);
  return std::make_unique<OpensslCipherHmac>(spec, keys);
}

}  // namespace cygnet::crypto
