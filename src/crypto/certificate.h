// SPDX-License-Identifier: Apache-2.0
#pragma once

// X.509 certificates as IKE needs them (RFC 5280, RFC 4945). Immutable, cheap to copy, and used by several threads at
// once. Decoding one costs more than checking a signature with it, so what was decoded stays with it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/public_key.h"
#include "model/identity.h"

struct x509_st;

namespace cygnet::crypto {

// "2026-11-21 13:00:00 UTC", of seconds since 1970
[[nodiscard]] std::string date_text(std::int64_t seconds);

class Certificate {
 public:
  static constexpr std::size_t kMaxOctets = 65536;
  // Refuses more than kMaxOctets, trailing octets, and public keys of unknown kinds.
  [[nodiscard]] static Result<Certificate> parse(ByteView der);

  [[nodiscard]] const Bytes& der() const;
  [[nodiscard]] const Bytes& subject() const;  // DER Name
  [[nodiscard]] const Bytes& issuer() const;
  [[nodiscard]] std::string subject_text() const;
  [[nodiscard]] std::string issuer_text() const;
  [[nodiscard]] std::string serial_text() const;  // hexadecimal
  [[nodiscard]] std::int64_t not_before() const;  // seconds since 1970
  [[nodiscard]] std::int64_t not_after() const;
  [[nodiscard]] const PublicKey& public_key() const;
  [[nodiscard]] bool is_authority() const;    // basicConstraints CA
  [[nodiscard]] bool is_self_issued() const;  // subject equals issuer
  // subjectAltName as identities: FQDN (dNSName), RFC822, IPv4/IPv6 addresses.
  [[nodiscard]] const std::vector<model::Identity>& alternative_names() const;
  [[nodiscard]] std::vector<std::string> organizational_units() const;
  [[nodiscard]] const std::vector<std::string>& crl_urls() const;   // CRL distribution points, http(s) only
  [[nodiscard]] const std::vector<std::string>& ocsp_urls() const;  // authority information access
  [[nodiscard]] const Bytes& fingerprint() const;                   // SHA2-256 of the DER

  // RFC 4945 section 3.1: does the certificate carry this identity? FQDN, RFC822 and addresses must stand in
  // subjectAltName (dNSName wildcards are not honoured), a DER_ASN1_DN must be the subject (patterns allowed), KEY_ID
  // must be the subjectKeyIdentifier.
  [[nodiscard]] bool carries(const model::Identity& identity) const;
  // RFC 4945 section 5.1.3: keyUsage and extendedKeyUsage, where present, allow signing in IKE. The error says what is
  // missing.
  [[nodiscard]] Result<void> may_authenticate() const;
  // False with SHA-1 and weaker.
  [[nodiscard]] bool signed_with_strong_hash() const;
  // What it could call itself, for people: "C=DE, CN=moon (also moon.example.org, 192.0.2.1)".
  [[nodiscard]] std::string names_text() const;

  // The same certificate, octet for octet.
  bool operator==(const Certificate& other) const;

 private:
  friend x509_st* x509_of(const Certificate& certificate);
  struct Parts;
  std::shared_ptr<const Parts> parts_;
};

}  // namespace cygnet::crypto
