// SPDX-License-Identifier: Apache-2.0
#include "support/test_pki.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <tuple>

#include "crypto/evp.h"

namespace cygnet::test {
namespace {

using crypto::FreeWith;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, FreeWith<X509_free>>;
using Crl = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using Name = std::unique_ptr<X509_NAME, FreeWith<X509_NAME_free>>;
using Time = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;
using Integer = std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>>;
using Octets = std::unique_ptr<ASN1_OCTET_STRING, FreeWith<ASN1_OCTET_STRING_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;
using Memory = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;

void must(bool holds) {
  if (holds) return;
  ERR_print_errors_fp(stderr);
  std::abort();
}

template <typename Encoder, typename T>
Bytes encode(Encoder encoder, T* object) {
  unsigned char* out = nullptr;
  const int octets = encoder(object, &out);
  must(octets > 0);
  Bytes der(out, out + octets);
  OPENSSL_free(out);
  return der;
}

Cert decode(ByteView der) {
  const unsigned char* at = der.data();
  Cert certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  must(certificate != nullptr);
  return certificate;
}

Key generate(crypto::KeyKind kind, unsigned rsa_bits) {
  using crypto::KeyKind;
  switch (kind) {
    case KeyKind::kRsa: return Key(EVP_RSA_gen(rsa_bits));
    case KeyKind::kEcdsaP256: return Key(EVP_EC_gen("P-256"));
    case KeyKind::kEcdsaP384: return Key(EVP_EC_gen("P-384"));
    case KeyKind::kEcdsaP521: return Key(EVP_EC_gen("P-521"));
    case KeyKind::kEd25519: return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    case KeyKind::kEd448: return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
  }
  return nullptr;
}

std::shared_ptr<EVP_PKEY> shared(Key key) {
  must(key != nullptr);
  return {key.release(), EVP_PKEY_free};
}

Name name_of(const std::string& text) {
  Name name(X509_NAME_new());
  std::size_t at = 0;
  while (at < text.size()) {
    auto end = text.find(", ", at);
    if (end == std::string::npos) end = text.size();
    const auto part = text.substr(at, end - at);
    const auto equals = part.find('=');
    const auto value = part.substr(equals + 1);
    must(X509_NAME_add_entry_by_txt(name.get(), part.substr(0, equals).c_str(), MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1);
    at = end + 2;
  }
  return name;
}

Time time_of(std::int64_t seconds) {
  Time time(ASN1_TIME_adj(nullptr, static_cast<time_t>(seconds), 0, 0));
  must(time != nullptr);
  return time;
}

const EVP_MD* hash_for(EVP_PKEY* key, const std::string& hash) {
  const int kind = EVP_PKEY_get_base_id(key);
  return kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448 ? nullptr : EVP_get_digestbyname(hash.c_str());
}

// 1.3.6.1.4.1.55555.1: nobody's.
Extension unknown_extension() {
  const std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>> oid(OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1));
  const Octets value(ASN1_OCTET_STRING_new());
  const std::array<unsigned char, 2> null{0x05, 0x00};
  must(ASN1_OCTET_STRING_set(value.get(), null.data(), 2) == 1);
  return Extension(X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 1, value.get()));
}

void add_extension(X509* certificate, X509V3_CTX* context, const std::string& name, const std::string& value) {
  if (value.empty()) return;
  const Extension extension(X509V3_EXT_nconf(nullptr, context, name.c_str(), value.c_str()));
  must(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void add_extensions(X509* certificate, X509* issuer, const CertificateOptions& options) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  if (options.authority) {
    const auto length = options.path_length < 0 ? "" : ",pathlen:" + std::to_string(options.path_length);
    add_extension(certificate, &context, "basicConstraints", "critical,CA:TRUE" + length);
  }
  add_extension(certificate, &context, "subjectKeyIdentifier", "hash");
  if (issuer != certificate) add_extension(certificate, &context, "authorityKeyIdentifier", "keyid");
  add_extension(certificate, &context, "subjectAltName", options.names);
  add_extension(certificate, &context, "keyUsage", options.key_usage);
  add_extension(certificate, &context, "extendedKeyUsage", options.extended_key_usage);
  if (!options.crl_url.empty()) {
    add_extension(certificate, &context, "crlDistributionPoints", "URI:" + options.crl_url);
  }
  if (!options.ocsp_url.empty()) {
    add_extension(certificate, &context, "authorityInfoAccess", "OCSP;URI:" + options.ocsp_url);
  }
  for (const auto& [name, value] : options.more) add_extension(certificate, &context, name, value);
  if (options.unknown_critical) must(X509_add_ext(certificate, unknown_extension().get(), -1) == 1);
}

SecretBytes contents_of(BIO* memory) {
  char* data = nullptr;
  const long octets = BIO_get_mem_data(memory, &data);
  return {data, data + octets};
}

}  // namespace

std::shared_ptr<evp_pkey_st> test_key(crypto::KeyKind kind, int which, unsigned rsa_bits) {
  static std::map<std::tuple<crypto::KeyKind, int, unsigned>, std::shared_ptr<EVP_PKEY>> keys;
  auto& key = keys[{kind, which, rsa_bits}];
  if (key == nullptr) key = shared(generate(kind, rsa_bits));
  return key;
}

SecretBytes key_to_pem(evp_pkey_st* key, const std::string& passphrase) {
  const Memory memory(BIO_new(BIO_s_mem()));
  const EVP_CIPHER* cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
  must(PEM_write_bio_PKCS8PrivateKey(memory.get(), key, cipher, passphrase.empty() ? nullptr : passphrase.data(),
                                     static_cast<int>(passphrase.size()), nullptr, nullptr) == 1);
  return contents_of(memory.get());
}

Bytes key_to_spki(evp_pkey_st* key) { return encode(i2d_PUBKEY, key); }

Bytes to_pem(const std::string& label, ByteView der) {
  const Memory memory(BIO_new(BIO_s_mem()));
  must(PEM_write_bio(memory.get(), label.c_str(), "", der.data(), static_cast<long>(der.size())) > 0);
  const auto text = contents_of(memory.get());
  return {text.begin(), text.end()};
}

TestCertificate make_certificate(const CertificateOptions& options, const TestCertificate* issuer) {
  static std::uint64_t serials = 0x1000;
  TestCertificate made;
  made.key = options.key != nullptr ? options.key : shared(generate(crypto::KeyKind::kEcdsaP256, 0));
  const Cert certificate(X509_new());
  const Cert parent = issuer == nullptr ? nullptr : decode(issuer->der);
  const auto subject = name_of(options.subject);
  must(X509_set_version(certificate.get(), options.version - 1) == 1);
  must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()),
                               options.serial != 0 ? options.serial : ++serials) == 1);
  must(X509_set_subject_name(certificate.get(), subject.get()) == 1);
  must(X509_set_issuer_name(certificate.get(), parent ? X509_get_subject_name(parent.get()) : subject.get()) == 1);
  must(X509_set1_notBefore(certificate.get(), time_of(options.not_before).get()) == 1);
  must(X509_set1_notAfter(certificate.get(), time_of(options.not_after).get()) == 1);
  must(X509_set_pubkey(certificate.get(), made.key.get()) == 1);
  if (options.version == 3) add_extensions(certificate.get(), parent ? parent.get() : certificate.get(), options);
  EVP_PKEY* signer = issuer == nullptr ? made.key.get() : issuer->key.get();
  must(X509_sign(certificate.get(), signer, hash_for(signer, options.hash)) > 0);
  made.der = encode(i2d_X509, certificate.get());
  return made;
}

TestCertificate make_authority(const std::string& subject, const TestCertificate* issuer, int path_length) {
  CertificateOptions options;
  options.subject = subject;
  options.authority = true;
  options.path_length = path_length;
  options.key_usage = "critical,keyCertSign,cRLSign";
  options.not_after = kPkiNow + 3650 * kDay;
  return make_certificate(options, issuer);
}

Bytes make_crl(const TestCertificate& issuer, const CrlOptions& options) {
  const Crl crl(X509_CRL_new());
  const auto authority = decode(issuer.der);
  must(X509_CRL_set_version(crl.get(), 1) == 1);
  must(X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(authority.get())) == 1);
  must(X509_CRL_set1_lastUpdate(crl.get(), time_of(options.this_update).get()) == 1);
  if (options.next_update != 0) must(X509_CRL_set1_nextUpdate(crl.get(), time_of(options.next_update).get()) == 1);
  for (const auto& der : options.revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    const auto certificate = decode(der);
    must(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get())) == 1);
    must(X509_REVOKED_set_revocationDate(entry, time_of(options.this_update).get()) == 1);
    must(X509_CRL_add0_revoked(crl.get(), entry) == 1);
  }
  must(X509_CRL_sort(crl.get()) == 1);
  const Integer number(ASN1_INTEGER_new());
  must(ASN1_INTEGER_set_uint64(number.get(), options.number) == 1);
  must(X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, number.get(), 0, 0) == 1);
  if (options.delta) must(X509_CRL_add1_ext_i2d(crl.get(), NID_delta_crl, number.get(), 1, 0) == 1);
  if (options.unknown_critical) must(X509_CRL_add_ext(crl.get(), unknown_extension().get(), -1) == 1);
  must(X509_CRL_sign(crl.get(), issuer.key.get(), hash_for(issuer.key.get(), options.hash)) > 0);
  return encode(i2d_X509_CRL, crl.get());
}

Bytes make_ocsp_response(const TestCertificate& issuer, ByteView subject_certificate, const OcspOptions& options) {
  const auto authority = decode(issuer.der);
  const auto subject = decode(subject_certificate);
  const auto& by = options.forged_by != nullptr   ? *options.forged_by
                   : options.responder != nullptr ? *options.responder
                                                  : issuer;
  const auto signer = decode(by.der);
  EVP_PKEY* key = by.key.get();
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), subject.get(), authority.get());
  const std::unique_ptr<OCSP_BASICRESP, FreeWith<OCSP_BASICRESP_free>> basic(OCSP_BASICRESP_new());
  const auto this_update = time_of(options.this_update);
  const auto next_update = options.next_update == 0 ? nullptr : time_of(options.next_update);
  const bool revoked = options.status == OcspOptions::Status::kRevoked;
  int status = V_OCSP_CERTSTATUS_GOOD;
  if (revoked) status = V_OCSP_CERTSTATUS_REVOKED;
  if (options.status == OcspOptions::Status::kUnknown) status = V_OCSP_CERTSTATUS_UNKNOWN;
  must(OCSP_basic_add1_status(basic.get(), id, status, revoked ? OCSP_REVOKED_STATUS_KEYCOMPROMISE : 0,
                              revoked ? this_update.get() : nullptr, this_update.get(), next_update.get()) != nullptr);
  OCSP_CERTID_free(id);
  const unsigned long flags = OCSP_NOTIME | (options.include_responder ? 0U : OCSP_NOCERTS);
  must(OCSP_basic_sign(basic.get(), signer.get(), key, hash_for(key, "SHA256"), nullptr, flags) == 1);
  const std::unique_ptr<OCSP_RESPONSE, FreeWith<OCSP_RESPONSE_free>> response(
      OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  return encode(i2d_OCSP_RESPONSE, response.get());
}

Bytes make_pkcs12(const TestCertificate& own, const std::vector<Bytes>& others, const std::string& passphrase,
                  const std::string& name, bool legacy) {
  using Library = std::unique_ptr<OSSL_LIB_CTX, FreeWith<OSSL_LIB_CTX_free>>;
  using Provider = std::unique_ptr<OSSL_PROVIDER, FreeWith<OSSL_PROVIDER_unload>>;
  const Library library(legacy ? OSSL_LIB_CTX_new() : nullptr);
  const Provider standard(legacy ? OSSL_PROVIDER_load(library.get(), "default") : nullptr);
  const Provider old(legacy ? OSSL_PROVIDER_load(library.get(), "legacy") : nullptr);
  if (legacy && (standard == nullptr || old == nullptr)) {
    ERR_clear_error();
    return {};
  }
  const auto certificate = decode(own.der);
  STACK_OF(X509)* more = sk_X509_new_null();
  for (const auto& der : others) sk_X509_push(more, decode(der).release());
  const int algorithm = legacy ? NID_pbe_WithSHA1And40BitRC2_CBC : 0;
  const std::unique_ptr<PKCS12, FreeWith<PKCS12_free>> file(PKCS12_create_ex(
      passphrase.c_str(), name.c_str(), own.key.get(), certificate.get(), more,
      legacy ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : 0, algorithm, 2048, 2048, 0, library.get(), nullptr));
  sk_X509_pop_free(more, X509_free);
  must(file != nullptr);
  return encode(i2d_PKCS12, file.get());
}

}  // namespace cygnet::test
