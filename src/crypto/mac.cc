// SPDX-License-Identifier: Apache-2.0
#include "crypto/mac.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <algorithm>
#include <string>

namespace cygnet::crypto {
namespace {

using Output = std::array<std::uint8_t, kMaxDigestOctets>;

class HmacMac final : public Mac {
 public:
  HmacMac(const EVP_MD* digest, ByteView key) : hmac_(digest, key) {}
  void start(ByteView /*iv*/) override { hmac_.start(); }
  void update(ByteView data) override { hmac_.update(data); }
  void finish(Output& out) override { hmac_.finish(out); }

 private:
  Hmac hmac_;
};

EVP_MAC* cmac() {
  static EVP_MAC* const kCmac = EVP_MAC_fetch(nullptr, "CMAC", nullptr);
  return kCmac;
}

class CmacMac final : public Mac {
 public:
  explicit CmacMac(ByteView key) : context_(EVP_MAC_CTX_new(cmac())) {
    require(context_ != nullptr);
    std::string cipher = "AES-128-CBC";
    const std::array<OSSL_PARAM, 2> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher.data(), cipher.size()),
        OSSL_PARAM_construct_end()};
    require_ok(EVP_MAC_init(context_.get(), key.data(), key.size(), parameters.data()));
  }
  void start(ByteView /*iv*/) override { require_ok(EVP_MAC_init(context_.get(), nullptr, 0, nullptr)); }
  void update(ByteView data) override {
    if (!data.empty()) require_ok(EVP_MAC_update(context_.get(), data.data(), data.size()));
  }
  void finish(Output& out) override {
    std::size_t written = 0;
    require_ok(EVP_MAC_final(context_.get(), out.data(), &written, out.size()));
  }

 private:
  MacContext context_;
};

// RFC 3566 section 4. OpenSSL has no XCBC; its AES-CBC with an IV of zeros is the chain that XCBC is made of: what it
// needs besides are three keys derived from one, and the last block apart.
class XcbcMac final : public Mac {
 public:
  explicit XcbcMac(ByteView key) : chain_(EVP_CIPHER_CTX_new()) {
    require(chain_ != nullptr);
    const auto* cipher = cipher_of(model::EncryptionId::kAesCbc, kBlock);
    Block k1{};
    const auto derive = [&](std::uint8_t octet) {
      Block block;
      block.fill(octet);
      require_ok(EVP_CipherInit_ex2(chain_.get(), cipher, key.data(), kZeros.data(), 1, nullptr));
      require_ok(EVP_CIPHER_CTX_set_padding(chain_.get(), 0));
      encrypt(block);
      return block;
    };
    k1 = derive(1);
    whole_ = derive(2);   // K2
    padded_ = derive(3);  // K3
    require_ok(EVP_CipherInit_ex2(chain_.get(), cipher, k1.data(), kZeros.data(), 1, nullptr));
    wipe(k1);
  }
  ~XcbcMac() override {
    wipe(whole_);
    wipe(padded_);
    wipe(last_);
  }

  void start(ByteView /*iv*/) override {
    require_ok(EVP_CipherInit_ex2(chain_.get(), nullptr, nullptr, kZeros.data(), 1, nullptr));
    held_ = 0;
  }
  // A full block is held back until more follows: the last one is treated apart.
  void update(ByteView data) override {
    while (!data.empty()) {
      if (held_ == kBlock) {
        encrypt(last_);
        held_ = 0;
      }
      const auto take = std::min(kBlock - held_, data.size());
      std::copy_n(data.begin(), take, last_.begin() + static_cast<std::ptrdiff_t>(held_));
      held_ += take;
      data = data.subspan(take);
      if (held_ == kBlock) data = chain_whole_blocks(data);
    }
  }
  void finish(Output& out) override {
    const auto& key = held_ == kBlock ? whole_ : padded_;
    if (held_ < kBlock) {
      last_[held_] = 0x80;
      std::fill(last_.begin() + static_cast<std::ptrdiff_t>(held_) + 1, last_.end(), std::uint8_t{0});
    }
    for (std::size_t i = 0; i < kBlock; ++i) last_[i] ^= key[i];
    encrypt(last_);
    std::ranges::copy(last_, out.begin());
  }

 private:
  static constexpr std::size_t kBlock = 16;
  static constexpr std::size_t kAtOnce = 64 * kBlock;
  using Block = std::array<std::uint8_t, kBlock>;
  static constexpr Block kZeros{};

  // In place: the chain's next ciphertext block.
  void encrypt(Block& block) {
    int written = 0;
    require_ok(EVP_CipherUpdate(chain_.get(), block.data(), &written, block.data(), int_size(kBlock)));
    require(written == int_size(kBlock));
  }
  // With a full block held: all of data but its last 1 to 16 octets goes through the chain behind it. Gives the rest.
  ByteView chain_whole_blocks(ByteView data) {
    if (data.size() <= kBlock) return data;
    encrypt(last_);
    held_ = 0;
    std::array<std::uint8_t, kAtOnce> scratch;
    while (data.size() > kBlock) {
      const auto octets = std::min(kAtOnce, (data.size() - 1) / kBlock * kBlock);
      int written = 0;
      require_ok(EVP_CipherUpdate(chain_.get(), scratch.data(), &written, data.data(), int_size(octets)));
      data = data.subspan(octets);
    }
    return data;
  }

  CipherContext chain_;
  Block whole_{};
  Block padded_{};
  Block last_{};
  std::size_t held_ = 0;
};

// RFC 4543 section 2: GMAC is GCM with nothing to encrypt; all of the data is associated data.
class GmacMac final : public Mac {
 public:
  explicit GmacMac(ByteView key_and_salt) : context_(EVP_CIPHER_CTX_new()) {
    require(context_ != nullptr);
    const auto key = key_and_salt.first(key_and_salt.size() - kSaltOctets);
    std::ranges::copy(key_and_salt.last(kSaltOctets), nonce_.begin());
    const auto* cipher = cipher_of(model::EncryptionId::kNullAesGmac, key.size());
    require_ok(EVP_CipherInit_ex2(context_.get(), cipher, key.data(), nullptr, 1, nullptr));
  }
  ~GmacMac() override { wipe(nonce_); }

  // Section 3.2: the nonce is the salt, then the IV.
  void start(ByteView iv) override {
    require(iv.size() == nonce_.size() - kSaltOctets);
    std::ranges::copy(iv, nonce_.begin() + kSaltOctets);
    require_ok(EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, nonce_.data(), 1, nullptr));
  }
  void update(ByteView data) override {
    int written = 0;
    if (!data.empty())
      require_ok(EVP_CipherUpdate(context_.get(), nullptr, &written, data.data(), int_size(data.size())));
  }
  void finish(Output& out) override {
    int written = 0;
    require_ok(EVP_CipherFinal_ex(context_.get(), out.data(), &written));
    require_ok(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kTagOctets, out.data()));
  }

 private:
  static constexpr std::size_t kSaltOctets = 4;
  static constexpr int kTagOctets = 16;
  CipherContext context_;
  std::array<std::uint8_t, 12> nonce_{};
};

bool is_gmac(model::IntegrityId id) { return model::iv_octets(id) != 0; }

}  // namespace

bool is_known_mac(model::IntegrityId id) {
  if (id == model::IntegrityId::kAesXcbc96 || is_gmac(id)) return true;
  if (id == model::IntegrityId::kAesCmac96) return cmac() != nullptr;
  return digest_of(id) != nullptr;
}

std::unique_ptr<Mac> create_mac(model::IntegrityId id, ByteView key) {
  if (!is_known_mac(id)) return nullptr;
  if (is_gmac(id)) return std::make_unique<GmacMac>(key);
  if (id == model::IntegrityId::kAesXcbc96) return std::make_unique<XcbcMac>(key);
  if (id == model::IntegrityId::kAesCmac96) return std::make_unique<CmacMac>(key);
  return std::make_unique<HmacMac>(digest_of(id), key);
}

}  // namespace cygnet::crypto
