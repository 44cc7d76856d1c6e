// SPDX-License-Identifier: Apache-2.0
#include "crypto/ike_cipher.h"

#include <algorithm>
#include <array>
#include <limits>

#include "crypto/aead.h"
#include "crypto/evp.h"
#include "crypto/hmac.h"

namespace cygnet::crypto {
namespace {

using Tag = std::array<std::uint8_t, kMaxDigestOctets>;

std::size_t icv_octets(const IkeCipherSpec& spec) {
  return model::is_aead(spec.encryption) ? model::icv_octets(spec.encryption) : model::icv_octets(spec.integrity);
}

// RFC 7296 section 3.14: "the recipient MUST accept any length that results in proper alignment"; ours is the shortest.
// AEADs need no alignment (RFC 5282 section 3), only the Pad Length octet.
std::size_t padded_octets(const IkeCipherSpec& spec, std::size_t plaintext_octets) {
  const std::size_t with_pad_length = plaintext_octets + 1;
  if (model::is_aead(spec.encryption)) return with_pad_length;
  const std::size_t block = model::block_octets(spec.encryption);
  return (with_pad_length + block - 1) / block * block;
}

// Salt | IV (RFC 5282 section 4, RFC 7634 section 3).
using Nonce = std::array<std::uint8_t, kAeadNonceOctets>;
Nonce nonce_of(const IkeCipherSpec& spec, ByteView sk_e, ByteView iv) {
  const std::size_t salt = model::salt_octets(spec.encryption);
  Nonce nonce{};
  std::ranges::copy(sk_e.last(salt), nonce.begin());
  std::ranges::copy(iv, nonce.begin() + static_cast<std::ptrdiff_t>(salt));
  return nonce;
}

ByteView key_of(const IkeCipherSpec& spec, ByteView sk_e) {
  return sk_e.first(sk_e.size() - model::salt_octets(spec.encryption));
}

CipherContext start_cbc(const IkeCipherSpec& spec, ByteView sk_e, ByteView iv, bool encrypt) {
  CipherContext context(EVP_CIPHER_CTX_new());
  require(context != nullptr);
  require_ok(EVP_CipherInit_ex2(context.get(), cipher_of(spec.encryption, sk_e.size()), sk_e.data(), iv.data(),
                                encrypt ? 1 : 0, nullptr));
  require_ok(EVP_CIPHER_CTX_set_padding(context.get(), 0));
  return context;
}

void transform_in_place(EVP_CIPHER_CTX* context, MutableByteView data) {
  int written = 0;
  require_ok(EVP_CipherUpdate(context, data.data(), &written, data.data(), int_size(data.size())));
  require(written == int_size(data.size()));
}

// RFC 7296 section 3.14: the checksum covers the message from the first octet of the IKE header to the end of the
// padding.
Tag message_mac(const IkeCipherSpec& spec, ByteView sk_a, ByteView header, ByteView iv_and_ciphertext) {
  Hmac mac(digest_of(spec.integrity), sk_a);
  mac.start();
  mac.update(header);
  mac.update(iv_and_ciphertext);
  Tag tag{};
  mac.finish(tag);
  return tag;
}

bool is_for_ike(model::TransformType type, std::uint16_t id) {
  return std::ranges::any_of(model::all_transforms(), [&](const model::TransformInfo& row) {
    return row.transform.type == type && row.transform.id == id && row.for_ike;
  });
}

std::unexpected<Error> refused() {
  return fail("the encrypted payload does not verify: wrong keys, or the message was altered");
}

}  // namespace

std::size_t IkeCipher::sk_e_octets(const IkeCipherSpec& spec) {
  return model::key_octets(spec.encryption, spec.encryption_bits) + model::salt_octets(spec.encryption);
}

std::size_t IkeCipher::sk_a_octets(const IkeCipherSpec& spec) {
  return model::is_aead(spec.encryption) ? 0 : model::key_octets(spec.integrity);
}

Result<IkeCipher> IkeCipher::create(const IkeCipherSpec& spec, ByteView sk_e, ByteView sk_a) {
  const std::size_t key = model::key_octets(spec.encryption, spec.encryption_bits);
  // RFC 7296 section 5: ENCR_NULL "MUST NOT be used" for IKE. Others are for ESP alone too.
  if (!is_for_ike(model::TransformType::kEncryption, static_cast<std::uint16_t>(spec.encryption)) ||
      spec.encryption_bits % 8 != 0 || cipher_of(spec.encryption, key) == nullptr) {
    return fail("encryption number " + std::to_string(static_cast<unsigned>(spec.encryption)) + " with " +
                std::to_string(spec.encryption_bits) + " bits cannot protect IKE messages");
  }
  const bool aead = model::is_aead(spec.encryption);
  if (aead != (spec.integrity == model::IntegrityId::kNone) ||
      (!aead && !is_for_ike(model::TransformType::kIntegrity, static_cast<std::uint16_t>(spec.integrity)))) {
    return fail(aead ? "a combined-mode cipher takes no integrity algorithm beside it (RFC 5282 section 8)"
                     : "AES-CBC needs one of the HMAC-SHA2 integrity algorithms beside it");
  }
  if (sk_e.size() != sk_e_octets(spec) || sk_a.size() != sk_a_octets(spec)) {
    return fail("SK_e and SK_a have " + std::to_string(sk_e.size()) + " and " + std::to_string(sk_a.size()) +
                " octets, expected " + std::to_string(sk_e_octets(spec)) + " and " + std::to_string(sk_a_octets(spec)));
  }
  IkeCipher cipher;
  cipher.spec_ = spec;
  cipher.sk_e_.assign(sk_e.begin(), sk_e.end());
  cipher.sk_a_.assign(sk_a.begin(), sk_a.end());
  return cipher;
}

std::size_t IkeCipher::iv_octets() const { return model::iv_octets(spec_.encryption); }

std::size_t IkeCipher::sealed_octets(std::size_t plaintext_octets) const {
  return iv_octets() + padded_octets(spec_, plaintext_octets) + icv_octets(spec_);
}

Result<Bytes> IkeCipher::seal(ByteView header, ByteView plaintext, ByteView iv) const {
  if (iv.size() != iv_octets()) {
    return fail("the IV has " + std::to_string(iv.size()) + " octets, this cipher takes " +
                std::to_string(iv_octets()));
  }
  // One IKE message fits a 32-bit length; far below that is already nonsense.
  if (plaintext.size() > std::numeric_limits<std::uint16_t>::max() ||
      header.size() > std::numeric_limits<std::uint16_t>::max()) {
    return fail("an IKE message of more than 65535 octets cannot be sent");
  }
  const std::size_t padded = padded_octets(spec_, plaintext.size());
  Bytes out(iv.begin(), iv.end());
  out.reserve(sealed_octets(plaintext.size()));
  append(out, plaintext);
  out.resize(iv.size() + padded, 0);
  out.back() = static_cast<std::uint8_t>(padded - plaintext.size() - 1);  // Pad Length
  const auto payload = MutableByteView(out).subspan(iv.size());
  if (model::is_aead(spec_.encryption)) {
    // RFC 5282 section 5.1: the associated data runs from the first octet of the IKE header to the last of the
    // Encrypted payload's own header.
    const auto sealed = aead_seal(spec_.encryption, key_of(spec_, sk_e_), nonce_of(spec_, sk_e_, iv), header, payload);
    if (!sealed) return std::unexpected(sealed.error());
    out.resize(iv.size());
    append(out, *sealed);
    return out;
  }
  const auto context = start_cbc(spec_, sk_e_, iv, true);
  transform_in_place(context.get(), payload);
  append(out, ByteView(message_mac(spec_, sk_a_, header, out)).first(icv_octets(spec_)));
  return out;
}

Result<SecretBytes> IkeCipher::open(ByteView header, ByteView body) const {
  const std::size_t iv_size = iv_octets();
  const std::size_t icv_size = icv_octets(spec_);
  if (body.size() <= iv_size + icv_size || body.size() > std::numeric_limits<std::uint16_t>::max()) return refused();
  const auto iv = body.first(iv_size);
  const auto ciphertext = body.subspan(iv_size, body.size() - iv_size - icv_size);
  const auto icv = body.last(icv_size);
  const bool aead = model::is_aead(spec_.encryption);
  if (!aead && ciphertext.size() % model::block_octets(spec_.encryption) != 0) return refused();

  SecretBytes plaintext;
  if (aead) {
    auto opened =
        aead_open(spec_.encryption, key_of(spec_, sk_e_), nonce_of(spec_, sk_e_, iv), header, body.subspan(iv_size));
    if (!opened) return refused();
    plaintext = std::move(*opened);
  } else {
    const auto expected = message_mac(spec_, sk_a_, header, body.first(iv_size + ciphertext.size()));
    if (!constant_time_equal(icv, ByteView(expected).first(icv_size))) return refused();
    plaintext.assign(ciphertext.begin(), ciphertext.end());
    const auto context = start_cbc(spec_, sk_e_, iv, false);
    transform_in_place(context.get(), plaintext);
  }
  const std::size_t trailer = std::size_t{plaintext.back()} + 1;
  if (trailer > plaintext.size()) return refused();
  plaintext.resize(plaintext.size() - trailer);
  return plaintext;
}

}  // namespace cygnet::crypto
