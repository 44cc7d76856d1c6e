// SPDX-License-Identifier: Apache-2.0
// ESP's combined modes through OpenSSL: AES-GCM, ChaCha20-Poly1305, AES-CCM, AES-GMAC.
#include "crypto/esp_openssl.h"

namespace cygnet::crypto {
namespace {

// What they share: a salt, and the IV on the wire or in the sequence number.
class OpensslCombined : public EspTransform {
 public:
  OpensslCombined(const model::SaSpec& spec, const EspKeys& keys)
      : EspTransform(spec), context_(EVP_CIPHER_CTX_new()), salt_(keys.salt) {
    require(context_ != nullptr);
  }
  ~OpensslCombined() override { wipe(salt_.octets); }

  void seal(std::span<EspJob> jobs) final {
    for (auto& job : jobs) {
      job.ok = fits(job);
      if (!job.ok) continue;
      if (iv_octets() != 0) store_be64(iv(job), iv_number(job));
      seal_one(job);
    }
  }
  void open(std::span<EspJob> jobs) final {
    for (auto& job : jobs) {
      job.ok = fits(job) && open_one(job);
      if (!job.ok && fits(job)) wipe(payload(job));
    }
  }

 protected:
  virtual void seal_one(const EspJob& job) = 0;
  [[nodiscard]] virtual bool open_one(const EspJob& job) = 0;

  [[nodiscard]] EVP_CIPHER_CTX* context() const { return context_.get(); }
  [[nodiscard]] EspNonce nonce_of(const EspJob& job) const {
    return iv_octets() != 0 ? EspNonce(salt_, iv(job)) : EspNonce::implicit(salt_, job.sequence, esn());
  }
  static void associate(EVP_CIPHER_CTX* context, ByteView data) {
    int written = 0;
    if (!data.empty()) require_ok(EVP_CipherUpdate(context, nullptr, &written, data.data(), int_size(data.size())));
  }
  void write_tag(EVP_CIPHER_CTX* context, const EspJob& job) const {
    require_ok(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, int_size(icv_octets()), icv(job)));
  }
  void expect_tag(EVP_CIPHER_CTX* context, const EspJob& job) const {
    require_ok(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, int_size(icv_octets()), icv(job)));
  }
  [[nodiscard]] bool finish() const {
    int written = 0;
    std::array<std::uint8_t, 16> rest{};
    return EVP_CipherFinal_ex(context(), rest.data(), &written) == 1;
  }

 private:
  CipherContext context_;
  Salt salt_;
};

// AES-GCM and ChaCha20-Poly1305: one context serves both directions, keyed once.
class OpensslAead : public OpensslCombined {
 public:
  OpensslAead(const model::SaSpec& spec, const EspKeys& keys) : OpensslCombined(spec, keys) {
    const auto* cipher = cipher_of(spec.encryption, keys.key.size());
    require_ok(EVP_CipherInit_ex2(context(), cipher, keys.key.data(), nullptr, 1, nullptr));
  }

 protected:
  void seal_one(const EspJob& job) override {
    start(job, true);
    transform_in_place(context(), payload(job));
    require(finish());
    write_tag(context(), job);
  }
  bool open_one(const EspJob& job) override {
    start(job, false);
    expect_tag(context(), job);
    transform_in_place(context(), payload(job));
    return finish();
  }
  void start(const EspJob& job, bool encrypt) {
    const auto nonce = nonce_of(job);
    require_ok(EVP_CipherInit_ex2(context(), nullptr, nullptr, nonce.data(), encrypt ? 1 : 0, nullptr));
    associate(context(), EspAad(job, esn()).view());
  }
};

// RFC 4543: AES-GMAC authenticates and hides nothing. All of the packet is associated data.
class OpensslGmac final : public OpensslAead {
 public:
  using OpensslAead::OpensslAead;

 protected:
  void seal_one(const EspJob& job) override {
    start(job, true);
    associate(context(), iv_and_payload(job));
    require(finish());
    write_tag(context(), job);
  }
  bool open_one(const EspJob& job) override {
    start(job, false);
    expect_tag(context(), job);
    associate(context(), iv_and_payload(job));
    return finish();
  }

 private:
  // Section 3.3: SPI, sequence number, "Authenticated Payload" and IV, in the order they stand in the packet.
  [[nodiscard]] ByteView iv_and_payload(const EspJob& job) const {
    return {iv(job), iv_octets() + payload(job).size()};
  }
};

// AES-CCM: the length is part of its first block, so OpenSSL wants it, and the tag, before anything else. Its contexts
// are keyed for one direction.
class OpensslCcm final : public OpensslCombined {
 public:
  OpensslCcm(const model::SaSpec& spec, const EspKeys& keys)
      : OpensslCombined(spec, keys), open_(EVP_CIPHER_CTX_new()) {
    require(open_ != nullptr);
    const auto* cipher = cipher_of(spec.encryption, keys.key.size());
    const int nonce_octets = int_size(keys.salt.size + 8);
    for (auto* context : {context(), open_.get()}) {
      const int encrypt = context == open_.get() ? 0 : 1;
      require_ok(EVP_CipherInit_ex2(context, cipher, nullptr, nullptr, encrypt, nullptr));
      require_ok(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, nonce_octets, nullptr));
      require_ok(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, int_size(icv_octets()), nullptr));
      require_ok(EVP_CipherInit_ex2(context, nullptr, keys.key.data(), nullptr, encrypt, nullptr));
    }
  }

 protected:
  void seal_one(const EspJob& job) override {
    start(context(), job, true);
    require(run(context(), job));
    write_tag(context(), job);
  }
  bool open_one(const EspJob& job) override {
    start(open_.get(), job, false);
    return run(open_.get(), job);
  }

 private:
  void start(EVP_CIPHER_CTX* context, const EspJob& job, bool encrypt) {
    const auto nonce = nonce_of(job);
    require_ok(EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), encrypt ? 1 : 0, nullptr));
    if (!encrypt) expect_tag(context, job);
    int written = 0;
    require_ok(EVP_CipherUpdate(context, nullptr, &written, nullptr, int_size(payload(job).size())));
    associate(context, EspAad(job, esn()).view());
  }
  // One call does it all; opening, it is this one that fails.
  [[nodiscard]] bool run(EVP_CIPHER_CTX* context, const EspJob& job) {
    const auto data = payload(job);
    int written = 0;
    std::uint8_t nothing = 0;
    auto* octets = data.empty() ? &nothing : data.data();
    return EVP_CipherUpdate(context, octets, &written, octets, int_size(data.size())) == 1;
  }

  CipherContext open_;
};

}  // namespace

std::unique_ptr<EspCipher> create_openssl_esp_aead(const model::SaSpec& spec, const EspKeys& keys) {
  switch (spec.encryption) {
    case model::EncryptionId::kNullAesGmac: return std::make_unique<OpensslGmac>(spec, keys);
    case model::EncryptionId::kAesCcm8:
    case model::EncryptionId::kAesCcm12:
    case model::EncryptionId::kAesCcm16:
    case model::EncryptionId::kAesCcm8ImplicitIv: return std::make_unique<OpensslCcm>(spec, keys);
    default: return std::make_unique<OpensslAead>(spec, keys);
  }
}

}  // namespace cygnet::crypto
