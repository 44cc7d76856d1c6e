// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.h"

#include <algorithm>
#include <array>
#include <limits>

#include "crypto/evp.h"

namespace cygnet::crypto {
namespace {

Result<> check(model::EncryptionId id, ByteView key, ByteView nonce, ByteView aad, ByteView text) {
  if (!model::is_aead(id) || cipher_of(id, key.size()) == nullptr) {
    return fail("encryption number " + std::to_string(static_cast<unsigned>(id)) + " with a key of " +
                std::to_string(key.size()) + " octets is not a combined-mode cipher of this build");
  }
  if (nonce.size() != kAeadNonceOctets)
    return fail("the nonce has " + std::to_string(nonce.size()) + " octets, it needs 12");
  constexpr std::size_t kLimit = std::numeric_limits<int>::max();
  if (aad.size() > kLimit || text.size() > kLimit) return fail("the message is too long");
  return {};
}

CipherContext start(model::EncryptionId id, ByteView key, ByteView nonce, ByteView aad, bool encrypt) {
  CipherContext context(EVP_CIPHER_CTX_new());
  require(context != nullptr);
  require_ok(
      EVP_CipherInit_ex2(context.get(), cipher_of(id, key.size()), key.data(), nonce.data(), encrypt ? 1 : 0, nullptr));
  int written = 0;
  if (!aad.empty()) require_ok(EVP_CipherUpdate(context.get(), nullptr, &written, aad.data(), int_size(aad.size())));
  return context;
}

}  // namespace

Result<Bytes> aead_seal(model::EncryptionId id, ByteView key, ByteView nonce, ByteView aad, ByteView plaintext) {
  if (const auto sound = check(id, key, nonce, aad, plaintext); !sound) return std::unexpected(sound.error());
  const auto context = start(id, key, nonce, aad, true);
  Bytes out(plaintext.size() + kAeadTagOctets);
  auto* tag = out.data() + plaintext.size();
  int written = 0;
  if (!plaintext.empty()) {
    require_ok(EVP_CipherUpdate(context.get(), out.data(), &written, plaintext.data(), int_size(plaintext.size())));
  }
  require_ok(EVP_CipherFinal_ex(context.get(), tag, &written));
  require_ok(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, int_size(kAeadTagOctets), tag));
  return out;
}

Result<SecretBytes> aead_open(model::EncryptionId id, ByteView key, ByteView nonce, ByteView aad, ByteView sealed) {
  if (const auto sound = check(id, key, nonce, aad, sealed); !sound) return std::unexpected(sound.error());
  if (sealed.size() < kAeadTagOctets) return fail("the message is shorter than its tag");
  const auto ciphertext = sealed.first(sealed.size() - kAeadTagOctets);
  std::array<std::uint8_t, kAeadTagOctets> tag{};
  std::ranges::copy(sealed.last(kAeadTagOctets), tag.begin());
  const auto context = start(id, key, nonce, aad, false);
  SecretBytes out(ciphertext.size());
  int written = 0;
  if (!ciphertext.empty()) {
    require_ok(EVP_CipherUpdate(context.get(), out.data(), &written, ciphertext.data(), int_size(ciphertext.size())));
  }
  require_ok(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, int_size(tag.size()), tag.data()));
  std::array<std::uint8_t, 16> rest{};
  if (EVP_CipherFinal_ex(context.get(), rest.data(), &written) != 1) return fail("the message does not verify");
  return out;
}

}  // namespace cygnet::crypto
