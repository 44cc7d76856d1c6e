// SPDX-License-Identifier: Apache-2.0
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>

#include "crypto/private_key.h"
#include "crypto/x509.h"

namespace cygnet::crypto {
namespace {

constexpr std::size_t kMaxFile = std::size_t{1024} * 1024;
constexpr long kMaxMacIterations = 10'000'000;

using Pkcs12Handle = std::unique_ptr<PKCS12, FreeWith<PKCS12_free>>;
using Library = std::unique_ptr<OSSL_LIB_CTX, FreeWith<OSSL_LIB_CTX_free>>;
using Provider = std::unique_ptr<OSSL_PROVIDER, FreeWith<OSSL_PROVIDER_unload>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_pop_free(stack, X509_free); }
};

struct Opened {
  KeyHandle key;
  X509Handle certificate;
  std::unique_ptr<STACK_OF(X509), FreeStack> others;
};

Pkcs12Handle read(ByteView bytes, OSSL_LIB_CTX* library) {
  PKCS12* into = library == nullptr ? nullptr : PKCS12_init_ex(NID_pkcs7_data, library, nullptr);
  const unsigned char* at = bytes.data();
  Pkcs12Handle file(d2i_PKCS12(into == nullptr ? nullptr : &into, &at, static_cast<long>(bytes.size())));
  if (file == nullptr || at != bytes.data() + bytes.size()) {
    ERR_clear_error();
    return nullptr;
  }
  return file;
}

bool open(PKCS12* file, const std::string& passphrase, Opened& out) {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  STACK_OF(X509)* others = nullptr;
  const bool opened = PKCS12_parse(file, passphrase.c_str(), &key, &certificate, &others) == 1;
  out.key.reset(key);
  out.certificate.reset(certificate);
  out.others.reset(others);
  return opened;
}

SecretBytes to_pem(EVP_PKEY* key) {
  const BioHandle bio(BIO_new(BIO_s_secmem()));
  require(bio != nullptr);
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) return {};
  char* data = nullptr;
  const long octets = BIO_get_mem_data(bio.get(), &data);
  const auto* first = reinterpret_cast<const std::uint8_t*>(data);
  return {first, first + octets};
}

Result<Pkcs12> take_apart(const Opened& opened) {
  Pkcs12 parts;
  if (opened.key != nullptr) {
    parts.private_key_pem = to_pem(opened.key.get());
    if (parts.private_key_pem.empty()) return refuse("the private key in the PKCS#12 file cannot be written as PKCS#8");
  }
  if (opened.certificate != nullptr) {
    parts.certificate = to_der(i2d_X509, opened.certificate.get());
    int length = 0;
    if (const auto* name = X509_alias_get0(opened.certificate.get(), &length); name != nullptr && length > 0) {
      parts.friendly_name.assign(reinterpret_cast<const char*>(name), static_cast<std::size_t>(length));
    }
  }
  for (int i = 0; opened.others != nullptr && i < sk_X509_num(opened.others.get()); ++i) {
    parts.authorities.push_back(to_der(i2d_X509, sk_X509_value(opened.others.get(), i)));
  }
  ERR_clear_error();
  if (parts.private_key_pem.empty() && parts.certificate.empty() && parts.authorities.empty()) {
    return fail("the PKCS#12 file holds neither key nor certificate");
  }
  return parts;
}

// Files from Windows and from old tools are encrypted with RC2, which OpenSSL 3 keeps in its "legacy" provider. It is
// loaded into a library context of this one file's, so that nothing else ever meets those algorithms.
Result<Pkcs12> open_legacy(ByteView bytes, const std::string& passphrase) {
  const Library library(OSSL_LIB_CTX_new());
  require(library != nullptr);
  const Provider standard(OSSL_PROVIDER_load(library.get(), "default"));
  const Provider legacy(OSSL_PROVIDER_load(library.get(), "legacy"));
  if (legacy == nullptr) {
    return refuse(
        "the PKCS#12 file is encrypted with an algorithm that needs OpenSSL's legacy provider, which is not installed "
        "(Debian 13: apt install openssl-provider-legacy); or export it again with AES");
  }
  const auto file = read(bytes, library.get());
  Opened opened;
  if (file == nullptr || !open(file.get(), passphrase, opened)) {
    return refuse("the PKCS#12 file is damaged or encrypted with an algorithm that is not known here");
  }
  return take_apart(opened);
}

Result<void> check_mac(PKCS12* file, const std::string& passphrase) {
  if (PKCS12_mac_present(file) == 0) return {};
  const ASN1_INTEGER* iterations = nullptr;
  PKCS12_get0_mac(nullptr, nullptr, nullptr, &iterations, file);
  std::int64_t rounds = 1;
  if (iterations != nullptr && (ASN1_INTEGER_get_int64(&rounds, iterations) != 1 || rounds > kMaxMacIterations)) {
    return refuse("the PKCS#12 file asks for more than 10 million iterations of its passphrase");
  }
  const int octets = int_size(passphrase.size());
  if (PKCS12_verify_mac(file, passphrase.c_str(), octets) == 1 ||
      (passphrase.empty() && PKCS12_verify_mac(file, nullptr, 0) == 1)) {
    return {};
  }
  return refuse(passphrase.empty() ? "the PKCS#12 file is protected and no passphrase was given"
                                   : "the passphrase of the PKCS#12 file is wrong");
}

}  // namespace

bool looks_like_pkcs12(ByteView bytes) { return bytes.size() <= kMaxFile && read(bytes, nullptr) != nullptr; }

Result<Pkcs12> parse_pkcs12(ByteView bytes, ByteView passphrase) {
  if (bytes.size() > kMaxFile) return fail("the file is longer than 1 MiB: that is no PKCS#12 file");
  const auto file = read(bytes, nullptr);
  if (file == nullptr) return fail("this is no PKCS#12 file (RFC 7292)");
  std::string text(passphrase.begin(), passphrase.end());
  Result<Pkcs12> parts;
  if (auto right = check_mac(file.get(), text); !right) {
    parts = std::unexpected(right.error());
  } else if (Opened opened; open(file.get(), text, opened)) {
    parts = take_apart(opened);
  } else {
    ERR_clear_error();
    parts = open_legacy(bytes, text);
  }
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return parts;
}

}  // namespace cygnet::crypto
