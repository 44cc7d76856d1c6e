// SPDX-License-Identifier: Apache-2.0
// ESP through OpenSSL, the transforms with an integrity algorithm beside the cipher: every CPU, one packet after the
// other. The combined modes are in esp_openssl_aead.cc.
#include "crypto/esp_openssl.h"

#include "crypto/mac.h"

namespace cygnet::crypto {
namespace {

// AES-CBC, 3DES-CBC, Camellia-CBC, AES-CTR or NULL, then a MAC over what was encrypted (RFC 4303 section 3.3.2).
class OpensslCipherMac final : public EspTransform {
 public:
  OpensslCipherMac(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec),
        counter_(spec.encryption == model::EncryptionId::kAesCtr),
        salt_(keys.salt),
        mac_(create_mac(spec.integrity, keys.integrity_key)) {
    require(mac_ != nullptr);
    if (spec.encryption == model::EncryptionId::kNull) return;
    const auto* cipher = cipher_of(spec.encryption, keys.key.size());
    encrypt_ = keyed_context(cipher, keys.key, true);
    decrypt_ = keyed_context(cipher, keys.key, false);
  }
  ~OpensslCipherMac() override { wipe(salt_.octets); }

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
        const auto block = counter_block(job);
        start(decrypt_.get(), counter_ ? block.data() : iv(job), false);
        transform_in_place(decrypt_.get(), payload(job));
      }
    }
  }

 private:
  using Block = std::array<std::uint8_t, 16>;

  static CipherContext keyed_context(const EVP_CIPHER* cipher, ByteView key, bool encrypt) {
    CipherContext context(EVP_CIPHER_CTX_new());
    require(context != nullptr);
    require_ok(EVP_CipherInit_ex2(context.get(), cipher, key.data(), nullptr, encrypt ? 1 : 0, nullptr));
    require_ok(EVP_CIPHER_CTX_set_padding(context.get(), 0));
    return context;
  }
  static void start(EVP_CIPHER_CTX* context, const std::uint8_t* iv, bool encrypt) {
    require_ok(EVP_CipherInit_ex2(context, nullptr, nullptr, iv, encrypt ? 1 : 0, nullptr));
  }

  void encrypt(const EspJob& job) {
    if (counter_) {
      store_be64(iv(job), iv_number(job));
      start(encrypt_.get(), counter_block(job).data(), true);
      return transform_in_place(encrypt_.get(), payload(job));
    }
    // CBC: the sequence number goes in front as a block of its own under an IV of zeros: its ciphertext is the packet's
    // IV, and the chain goes on from there as CBC with that IV.
    static constexpr Block kZeros{};
    std::memset(iv(job), 0, iv_octets() - 8);
    store_be64(iv(job) + iv_octets() - 8, iv_number(job));
    start(encrypt_.get(), kZeros.data(), true);
    transform_in_place(encrypt_.get(), {iv(job), iv_octets() + payload(job).size()});
  }

  // RFC 3686 section 4: Nonce | IV | block counter, which begins with one.
  [[nodiscard]] Block counter_block(const EspJob& job) const {
    Block block{};
    if (!counter_) return block;
    std::memcpy(block.data(), salt_.octets.data(), 4);
    std::memcpy(block.data() + 4, iv(job), 8);
    block[15] = 1;
    return block;
  }

  // RFC 4303 section 2.2.1: with ESN the high-order 32 bits are appended after the Next Header field for the ICV only.
  std::array<std::uint8_t, kMaxDigestOctets> packet_mac(const EspJob& job) {
    mac_->start();
    mac_->update({job.esp, job.octets - icv_octets()});
    if (esn()) {
      std::array<std::uint8_t, kEsnHighOctets> high{};
      store_be32(high.data(), static_cast<std::uint32_t>(job.sequence >> 32));
      mac_->update(high);
    }
    std::array<std::uint8_t, kMaxDigestOctets> tag{};
    mac_->finish(tag);
    return tag;
  }

  bool counter_;
  Salt salt_;
  std::unique_ptr<Mac> mac_;
  CipherContext encrypt_;
  CipherContext decrypt_;
};

}  // namespace

std::unique_ptr<EspCipher> create_openssl_esp_cipher(const model::SaSpec& spec, const EspKeys& keys) {
  if (model::is_aead(spec.encryption)) return create_openssl_esp_aead(spec, keys);
  return std::make_unique<OpensslCipherMac>(spec, keys);
}

}  // namespace cygnet::crypto
