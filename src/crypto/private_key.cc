// SPDX-License-Identifier: Apache-2.0
#include "crypto/private_key.h"

#include <openssl/decoder.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstring>

#include "crypto/signature.h"
#include "crypto/x509.h"

namespace cygnet::crypto {
namespace {

constexpr std::size_t kMaxKeyFile = std::size_t{256} * 1024;

// What OpenSSL asks when it meets an encrypted key. Without a passphrase it gets none: nobody sits at a terminal here.
struct Passphrase {
  ByteView value;
  bool asked = false;
};

int give_passphrase(char* buffer, int size, int /*writing*/, void* context) {
  auto* passphrase = static_cast<Passphrase*>(context);
  passphrase->asked = true;
  if (passphrase->value.empty() || passphrase->value.size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, passphrase->value.data(), passphrase->value.size());
  return static_cast<int>(passphrase->value.size());
}

BioHandle memory_of(ByteView bytes) {
  BioHandle bio(BIO_new_mem_buf(bytes.data(), int_size(bytes.size())));
  require(bio != nullptr);
  return bio;
}

bool is_pem(ByteView bytes) {
  static constexpr std::string_view kBegin = "-----BEGIN ";
  return std::search(bytes.begin(), bytes.end(), kBegin.begin(), kBegin.end()) != bytes.end();
}

KeyHandle decode(ByteView bytes, Passphrase& passphrase) {
  const auto bio = memory_of(bytes);
  if (is_pem(bytes)) {
    return KeyHandle(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &passphrase));
  }
  EVP_PKEY* key = nullptr;
  using Decoder = std::unique_ptr<OSSL_DECODER_CTX, FreeWith<OSSL_DECODER_CTX_free>>;
  const Decoder decoder(
      OSSL_DECODER_CTX_new_for_pkey(&key, "DER", nullptr, nullptr, EVP_PKEY_KEYPAIR, nullptr, nullptr));
  require(decoder != nullptr);
  require_ok(OSSL_DECODER_CTX_set_pem_password_cb(decoder.get(), give_passphrase, &passphrase));
  if (OSSL_DECODER_from_bio(decoder.get(), bio.get()) != 1) return nullptr;
  return KeyHandle(key);
}

std::unexpected<Error> cannot_read(ByteView bytes, const Passphrase& passphrase) {
  if (passphrase.asked) {
    return refuse(passphrase.value.empty() ? "the private key is encrypted and no passphrase was given"
                                           : "the passphrase of the private key is wrong");
  }
  static constexpr std::string_view kPublic = "PUBLIC KEY-----";
  static constexpr std::string_view kCertificate = "BEGIN CERTIFICATE-----";
  const auto has = [&](std::string_view what) {
    return std::search(bytes.begin(), bytes.end(), what.begin(), what.end()) != bytes.end();
  };
  if (has(kPublic)) return refuse("this is a public key; the private key is needed");
  if (has(kCertificate)) return refuse("this is a certificate; its private key is needed");
  return refuse("this is no private key (PEM or DER; PKCS#1, SEC1, PKCS#8 or PKCS#12)");
}

}  // namespace

Result<PrivateKey> PrivateKey::load(ByteView bytes, ByteView passphrase) {
  if (bytes.empty()) return fail("the file of the private key is empty");
  if (bytes.size() > kMaxKeyFile) return fail("the file is longer than 256 KiB: that is no private key");
  Passphrase given{.value = passphrase};
  auto handle = decode(bytes, given);
  if (handle == nullptr) {
    if (is_pem(bytes) || !looks_like_pkcs12(bytes)) return cannot_read(bytes, given);
    const auto taken_apart = parse_pkcs12(bytes, passphrase);
    if (!taken_apart) return std::unexpected(taken_apart.error());
    if (taken_apart->private_key_pem.empty()) return fail("the PKCS#12 file holds no private key");
    return load(taken_apart->private_key_pem, {});
  }
  // OpenSSL leaves a trail of the formats that it tried.
  ERR_clear_error();
  const auto spki = to_der(i2d_PUBKEY, handle.get());
  const std::shared_ptr<EVP_PKEY> shared(handle.release(), EVP_PKEY_free);
  auto public_key = PublicKey::from_handle(shared, spki);
  if (!public_key) return std::unexpected(public_key.error());
  PrivateKey key(std::move(*public_key));
  key.key_ = shared;
  return key;
}

Result<Bytes> PrivateKey::sign(SignatureScheme scheme, EcdsaForm form, ByteView octets) const {
  const auto kind = public_key_.kind();
  if (!scheme_fits(scheme, kind)) {
    return fail("a key of kind " + public_key_.to_string() + " cannot sign with " + std::string(to_string(scheme)));
  }
  const DigestContext context(EVP_MD_CTX_new());
  require(context != nullptr);
  EVP_PKEY_CTX* options = nullptr;
  std::size_t length = 0;
  if (EVP_DigestSignInit(context.get(), &options, digest_of(scheme), nullptr, key_.get()) != 1 ||
      !set_padding(options, scheme) ||
      EVP_DigestSign(context.get(), nullptr, &length, octets.data(), octets.size()) != 1) {
    return refuse("the key " + public_key_.to_string() + " cannot sign with " + std::string(to_string(scheme)));
  }
  Bytes signature(length);
  if (EVP_DigestSign(context.get(), signature.data(), &length, octets.data(), octets.size()) != 1) {
    return refuse("signing with the key " + public_key_.to_string() +
                  " failed; if it is on a token, look whether that is there and unlocked");
  }
  signature.resize(length);
  const auto half = ecdsa_half_octets(kind);
  return half != 0 && form == EcdsaForm::kFixed ? ecdsa_to_fixed(signature, half) : signature;
}

}  // namespace cygnet::crypto
