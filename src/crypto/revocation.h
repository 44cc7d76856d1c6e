// SPDX-License-Identifier: Apache-2.0
#pragma once

// Certificate revocation lists (RFC 5280 section 5) and OCSP responses (RFC 6960). Times are seconds since 1970.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/certificate.h"

struct X509_crl_st;
struct ocsp_basic_response_st;

namespace cygnet::crypto {

enum class RevocationStatus : std::uint8_t { kGood, kRevoked, kUnknown };

struct RevocationAnswer {
  RevocationStatus status = RevocationStatus::kUnknown;
  std::string text;
  bool believed = false;  // signed by whom it should be, and valid now
};

class Crl {
 public:
  static constexpr std::size_t kMaxOctets = 16U << 20U;
  // DER or PEM. Refuses what cannot be judged alone: delta, indirect and partial lists, unknown critical extensions;
  // and lists signed with SHA-1.
  [[nodiscard]] static Result<Crl> parse(ByteView bytes);
  [[nodiscard]] const Bytes& issuer() const { return issuer_; }  // DER Name
  [[nodiscard]] std::int64_t this_update() const { return this_update_; }
  [[nodiscard]] std::int64_t next_update() const { return next_update_; }  // 0: none
  // Name, key usage (cRLSign) and signature. Where that is so, settle() saves the next look at the signature.
  [[nodiscard]] bool is_of(const Certificate& issuer) const;
  bool settle(const Certificate& issuer);
  // What it says of a certificate of its issuer's. Listed is revoked even after nextUpdate.
  [[nodiscard]] RevocationAnswer judge(const Certificate& subject, std::int64_t now) const;

 private:
  std::shared_ptr<X509_crl_st> crl_;
  Bytes issuer_;
  Bytes signer_;  // key_id() of the public key that its signature was checked with; empty: of none yet
  std::int64_t this_update_ = 0, next_update_ = 0;
};

class OcspResponse {
 public:
  static constexpr std::size_t kMaxOctets = 65536;
  [[nodiscard]] static Result<OcspResponse> parse(ByteView der);
  // Nothing, if it speaks of other certificates. Signed by the issuer, or by a responder that the issuer certified for
  // that (RFC 6960 section 4.2.2.2).
  [[nodiscard]] std::optional<RevocationAnswer> judge(const Certificate& subject, const Certificate& issuer,
                                                      std::int64_t now) const;
  // How long what it says is believed: the earliest nextUpdate, or a day where there is none; 0: it says nothing. Not
  // yet authenticated.
  [[nodiscard]] std::int64_t good_until() const;
  // The earliest thisUpdate; 0: it says nothing.
  [[nodiscard]] std::int64_t issued() const;

 private:
  std::shared_ptr<ocsp_basic_response_st> response_;
};

// OCSPRequest (DER) for one certificate, without nonce: caches may answer.
[[nodiscard]] Bytes make_ocsp_request(const Certificate& subject, const Certificate& issuer);

}  // namespace cygnet::crypto
