// SPDX-License-Identifier: Apache-2.0
#pragma once

// Certificates, CRLs and OCSP responses made while a test runs. Nothing here expires: dates are the caller's.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "crypto/public_key.h"

struct evp_pkey_st;

namespace cygnet::test {

inline constexpr std::int64_t kPkiNow = 1'800'000'000;  // 2027-01-15 08:00:00 UTC
inline constexpr std::int64_t kDay = 86400;

// Generated once in a program for each kind, size and `which`: RSA keys take long.
[[nodiscard]] std::shared_ptr<evp_pkey_st> test_key(crypto::KeyKind kind, int which = 0, unsigned rsa_bits = 2048);
[[nodiscard]] SecretBytes key_to_pem(evp_pkey_st* key, const std::string& passphrase = {});  // PKCS#8
[[nodiscard]] Bytes key_to_spki(evp_pkey_st* key);
[[nodiscard]] Bytes to_pem(const std::string& label, ByteView der);  // "CERTIFICATE", "X509 CRL", …

struct CertificateOptions {
  std::string subject = "C=DE, O=Example, CN=moon.example.org";
  std::shared_ptr<evp_pkey_st> key;  // none: ECDSA P-256, another one each time
  std::int64_t not_before = kPkiNow - 30 * kDay;
  std::int64_t not_after = kPkiNow + 365 * kDay;
  std::uint64_t serial = 0;  // 0: counts
  int version = 3;
  std::string hash = "SHA256";
  bool authority = false;
  int path_length = -1;  // of basicConstraints; -1: unlimited
  std::string names;     // as OpenSSL writes them: "DNS:moon.example.org,IP:192.0.2.1,email:moon@example.org"
  std::string key_usage;
  std::string extended_key_usage;
  std::string crl_url, ocsp_url;
  std::vector<std::pair<std::string, std::string>> more;  // extensions: name and value as OpenSSL's files spell them
  bool unknown_critical = false;                          // an extension nobody knows, critical
};

struct TestCertificate {
  Bytes der;
  std::shared_ptr<evp_pkey_st> key;
  [[nodiscard]] SecretBytes key_pem() const { return key_to_pem(key.get()); }
};

// No issuer: signs itself. An issuer's certificate need not be an authority: that is what some tests are about.
[[nodiscard]] TestCertificate make_certificate(const CertificateOptions& options,
                                               const TestCertificate* issuer = nullptr);
[[nodiscard]] TestCertificate make_authority(const std::string& subject, const TestCertificate* issuer = nullptr,
                                             int path_length = -1);

struct CrlOptions {
  std::vector<Bytes> revoked;  // certificates, DER
  std::int64_t this_update = kPkiNow - kDay;
  std::int64_t next_update = kPkiNow + kDay;  // 0: none is written
  std::uint64_t number = 1;
  bool delta = false;
  bool unknown_critical = false;
  std::string hash = "SHA256";
};
[[nodiscard]] Bytes make_crl(const TestCertificate& issuer, const CrlOptions& options);

struct OcspOptions {
  enum class Status : std::uint8_t { kGood, kRevoked, kUnknown } status = Status::kGood;
  std::int64_t this_update = kPkiNow - 3600;
  std::int64_t next_update = kPkiNow + kDay;   // 0: none is written
  const TestCertificate* responder = nullptr;  // none: the issuer itself
  bool include_responder = true;               // its certificate in the response
  const TestCertificate* forged_by = nullptr;  // names the issuer, and is signed by this one
};
[[nodiscard]] Bytes make_ocsp_response(const TestCertificate& issuer, ByteView subject_certificate,
                                       const OcspOptions& options);

// PKCS#12 of key, certificate and others; legacy: with RC2 and SHA-1, as Windows exports (needs OpenSSL's legacy
// provider; empty without it).
[[nodiscard]] Bytes make_pkcs12(const TestCertificate& own, const std::vector<Bytes>& others,
                                const std::string& passphrase, const std::string& name, bool legacy = false);

}  // namespace cygnet::test
