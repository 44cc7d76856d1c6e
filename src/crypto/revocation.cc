// SPDX-License-Identifier: Apache-2.0
#include "crypto/revocation.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string_view>

#include "crypto/x509.h"
#include "model/distinguished_name.h"

namespace cygnet::crypto {
namespace {

constexpr std::int64_t kSkew = 300;            // seconds that clocks may differ
constexpr std::int64_t kNoNextUpdate = 86400;  // how long an OCSP response without nextUpdate is believed

using OcspHandle = std::unique_ptr<OCSP_RESPONSE, FreeWith<OCSP_RESPONSE_free>>;
using OcspId = std::unique_ptr<OCSP_CERTID, FreeWith<OCSP_CERTID_free>>;

X509CrlHandle read_crl(ByteView bytes) {
  static constexpr std::string_view kPem = "-----BEGIN ";
  if (bytes.size() < kPem.size() || !std::equal(kPem.begin(), kPem.end(), bytes.begin())) {
    return from_der<X509CrlHandle>(d2i_X509_CRL, bytes);
  }
  const BioHandle bio(BIO_new_mem_buf(bytes.data(), int_size(bytes.size())));
  require(bio != nullptr);
  X509CrlHandle crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return crl;
}

bool weak_signature(int nid) {
  int hash = NID_undef;
  return OBJ_find_sigid_algs(nid, &hash, nullptr) == 1 &&
         (hash == NID_sha1 || hash == NID_md5 || hash == NID_md4 || hash == NID_md2);
}

// RFC 5280 section 5.2: "If a CRL contains a critical extension that the application cannot process, then the
// application MUST NOT use that CRL to determine the status of certificates."
const char* why_not_usable(X509_CRL* crl) {
  if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0) {
    return "it is a delta CRL; give or publish the complete one";
  }
  if (X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0) {
    return "it covers a part of its issuer's certificates only (issuingDistributionPoint); give the complete one";
  }
  for (int i = 0; i < X509_CRL_get_ext_count(crl); ++i) {
    if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)) != 0) return "it has a critical extension unknown here";
  }
  STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(crl);
  for (int i = 0; entries != nullptr && i < sk_X509_REVOKED_num(entries); ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
    for (int k = 0; k < X509_REVOKED_get_ext_count(entry); ++k) {
      if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, k)) != 0) {
        return "one of its entries has a critical extension unknown here";
      }
    }
  }
  return weak_signature(X509_CRL_get_signature_nid(crl)) ? "it is signed with SHA-1 or weaker" : nullptr;
}

KeyHandle key_of(X509* certificate) { return KeyHandle(X509_get_pubkey(certificate)); }

bool signed_by(OCSP_BASICRESP* response, EVP_PKEY* key) {
  const X509_ALGOR* algorithm = OCSP_resp_get0_tbs_sigalg(response);
  const ASN1_OBJECT* oid = nullptr;
  X509_ALGOR_get0(&oid, nullptr, nullptr, algorithm);
  if (weak_signature(OBJ_obj2nid(oid))) return false;
  const bool valid = ASN1_item_verify(ASN1_ITEM_rptr(OCSP_RESPDATA), algorithm, OCSP_resp_get0_signature(response),
                                      OCSP_resp_get0_respdata(response), key) == 1;
  ERR_clear_error();
  return valid;
}

// RFC 6960 section 4.2.2.2: "a certificate ... containing a value of id-kp-OCSPSigning in an extended key usage
// extension, issued by the CA that issued the certificate in question".
bool is_responder_of(X509* responder, X509* issuer, EVP_PKEY* issuer_key, std::int64_t now) {
  const auto from = seconds_of(X509_get0_notBefore(responder));
  const auto to = seconds_of(X509_get0_notAfter(responder));
  const bool valid = from && to && *from <= now + kSkew && now <= *to &&
                     (X509_get_extension_flags(responder) & (EXFLAG_CRITICAL | EXFLAG_INVALID)) == 0 &&
                     (X509_get_extension_flags(responder) & EXFLAG_XKUSAGE) != 0 &&
                     (X509_get_extended_key_usage(responder) & XKU_OCSP_SIGN) != 0 &&
                     !weak_signature(X509_get_signature_nid(responder)) &&
                     X509_NAME_cmp(X509_get_issuer_name(responder), X509_get_subject_name(issuer)) == 0 &&
                     X509_verify(responder, issuer_key) == 1;
  ERR_clear_error();
  return valid;
}

bool is_authentic(OCSP_BASICRESP* response, X509* issuer, std::int64_t now) {
  const auto issuer_key = key_of(issuer);
  if (issuer_key == nullptr) return false;
  if (signed_by(response, issuer_key.get())) return true;
  const STACK_OF(X509)* certificates = OCSP_resp_get0_certs(response);
  for (int i = 0; certificates != nullptr && i < sk_X509_num(certificates) && i < 4; ++i) {
    X509* responder = sk_X509_value(certificates, i);
    if (!is_responder_of(responder, issuer, issuer_key.get(), now)) continue;
    const auto key = key_of(responder);
    if (key != nullptr && signed_by(response, key.get())) return true;
  }
  return false;
}

// The answer for this certificate, whatever hash the responder identified it with; null: there is none.
OCSP_SINGLERESP* find_single(OCSP_BASICRESP* response, X509* subject, X509* issuer) {
  for (const EVP_MD* hash : {sha1_digest(), sha256_digest()}) {
    const OcspId id(OCSP_cert_to_id(hash, subject, issuer));
    if (id == nullptr) continue;
    if (const int at = OCSP_resp_find(response, id.get(), -1); at >= 0) return OCSP_resp_get0(response, at);
  }
  ERR_clear_error();
  return nullptr;
}

}  // namespace

Result<Crl> Crl::parse(ByteView bytes) {
  if (bytes.size() > kMaxOctets) return fail("the CRL is longer than 16 MiB and is refused");
  auto handle = read_crl(bytes);
  if (handle == nullptr) return fail("this is no CRL (RFC 5280), or it is damaged");
  Crl crl;
  crl.issuer_ = to_der(i2d_X509_NAME, X509_CRL_get_issuer(handle.get()));
  const auto name = "the CRL of " + model::distinguished_name_to_string(crl.issuer_);
  if (const char* why = why_not_usable(handle.get())) return refuse(name + " cannot be used: " + why);
  const auto this_update = seconds_of(X509_CRL_get0_lastUpdate(handle.get()));
  const auto* next = X509_CRL_get0_nextUpdate(handle.get());
  const auto next_update = next == nullptr ? std::optional<std::int64_t>(0) : seconds_of(next);
  if (!this_update || !next_update) return refuse(name + " has dates that cannot be read");
  crl.this_update_ = *this_update;
  crl.next_update_ = *next_update;
  crl.crl_ = std::shared_ptr<X509_CRL>(handle.release(), X509_CRL_free);
  return crl;
}

bool Crl::is_of(const Certificate& issuer) const {
  if (!model::distinguished_names_equal(issuer_, issuer.subject())) return false;
  X509* x509 = x509_of(issuer);
  if ((X509_get_key_usage(x509) & KU_CRL_SIGN) == 0) return false;
  if (signer_ == issuer.public_key().key_id()) return true;
  EVP_PKEY* key = X509_get0_pubkey(x509);
  const bool valid = key != nullptr && X509_CRL_verify(crl_.get(), key) == 1;
  ERR_clear_error();
  return valid;
}

bool Crl::settle(const Certificate& issuer) {
  const bool valid = is_of(issuer);
  if (valid) signer_ = issuer.public_key().key_id();
  return valid;
}

RevocationAnswer Crl::judge(const Certificate& subject, std::int64_t now) const {
  const auto of = "the CRL of " + model::distinguished_name_to_string(issuer_);
  X509_REVOKED* entry = nullptr;
  if (X509_CRL_get0_by_cert(crl_.get(), &entry, x509_of(subject)) == 1 && entry != nullptr) {
    const auto since = seconds_of(X509_REVOKED_get0_revocationDate(entry));
    return {RevocationStatus::kRevoked,
            subject.subject_text() + " was revoked" + (since ? " on " + date_text(*since) : "") + " (" + of + ")",
            true};
  }
  if (now + kSkew < this_update_) return {RevocationStatus::kUnknown, of + " begins on " + date_text(this_update_)};
  if (next_update_ != 0 && next_update_ < now) {
    return {RevocationStatus::kUnknown, of + " expired on " + date_text(next_update_)};
  }
  return {RevocationStatus::kGood, subject.subject_text() + " is not in " + of, true};
}

Result<OcspResponse> OcspResponse::parse(ByteView der) {
  if (der.size() > kMaxOctets) return fail("the OCSP response is longer than 64 KiB and is refused");
  const auto response = from_der<OcspHandle>(d2i_OCSP_RESPONSE, der);
  if (response == nullptr) return fail("this is no OCSP response (RFC 6960), or it is damaged");
  if (const int status = OCSP_response_status(response.get()); status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return refuse(std::string("the OCSP responder answered '") + OCSP_response_status_str(status) + "'");
  }
  OCSP_BASICRESP* basic = OCSP_response_get1_basic(response.get());
  if (basic == nullptr) return refuse("the OCSP response holds no basic response");
  OcspResponse parsed;
  parsed.response_ = std::shared_ptr<OCSP_BASICRESP>(basic, OCSP_BASICRESP_free);
  return parsed;
}

namespace {

// A quick look before certificates are decoded: among many responses few speak of this one.
bool names_serial(OCSP_BASICRESP* response, const Certificate& subject) {
  for (int i = 0; i < OCSP_resp_count(response); ++i) {
    ASN1_INTEGER* serial = nullptr;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): an accessor that wants no const
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(OCSP_resp_get0(response, i)));
    if (OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial, id) == 1 &&
        to_hex({ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial))}) ==
            subject.serial_text())
      return true;
  }
  return false;
}

}  // namespace

std::optional<RevocationAnswer> OcspResponse::judge(const Certificate& subject, const Certificate& issuer,
                                                    std::int64_t now) const {
  if (!names_serial(response_.get(), subject)) return std::nullopt;
  X509* by = x509_of(issuer);
  OCSP_SINGLERESP* single = find_single(response_.get(), x509_of(subject), by);
  if (single == nullptr) return std::nullopt;
  const auto name = "the OCSP response for " + subject.subject_text();
  if (!is_authentic(response_.get(), by, now)) {
    return RevocationAnswer{RevocationStatus::kUnknown, name + " is signed by nobody whom its issuer allows"};
  }
  ASN1_GENERALIZEDTIME *revoked = nullptr, *from = nullptr, *to = nullptr;
  const int status = OCSP_single_get0_status(single, nullptr, &revoked, &from, &to);
  const auto since = seconds_of_generalized(from);
  if (!since || *since > now + kSkew) return RevocationAnswer{RevocationStatus::kUnknown, name + " is not valid yet"};
  const auto until = to == nullptr ? std::optional(*since + kNoNextUpdate) : seconds_of_generalized(to);
  if (!until || *until + kSkew < now) {
    return RevocationAnswer{RevocationStatus::kUnknown,
                            name + " is too old" + (until ? ": it ended on " + date_text(*until) : "")};
  }
  if (status == V_OCSP_CERTSTATUS_GOOD) return RevocationAnswer{RevocationStatus::kGood, name + " says good", true};
  if (status != V_OCSP_CERTSTATUS_REVOKED) {
    return RevocationAnswer{RevocationStatus::kUnknown, name + " says unknown", true};
  }
  const auto when = seconds_of_generalized(revoked);
  return RevocationAnswer{RevocationStatus::kRevoked,
                          subject.subject_text() + " was revoked" + (when ? " on " + date_text(*when) : "") + " (OCSP)",
                          true};
}

std::int64_t OcspResponse::issued() const {
  std::int64_t earliest = 0;
  for (int i = 0; i < OCSP_resp_count(response_.get()); ++i) {
    ASN1_GENERALIZEDTIME* from = nullptr;
    (void)OCSP_single_get0_status(OCSP_resp_get0(response_.get(), i), nullptr, nullptr, &from, nullptr);
    const auto since = seconds_of_generalized(from);
    if (!since) return 0;
    if (i == 0 || *since < earliest) earliest = *since;
  }
  return earliest;
}

std::int64_t OcspResponse::good_until() const {
  std::int64_t earliest = 0;
  for (int i = 0; i < OCSP_resp_count(response_.get()); ++i) {
    ASN1_GENERALIZEDTIME *from = nullptr, *to = nullptr;
    (void)OCSP_single_get0_status(OCSP_resp_get0(response_.get(), i), nullptr, nullptr, &from, &to);
    const auto since = seconds_of_generalized(from);
    const auto until = to != nullptr ? seconds_of_generalized(to)
                       : since       ? std::optional(*since + kNoNextUpdate)
                                     : since;
    if (!until) return 0;
    if (i == 0 || *until < earliest) earliest = *until;
  }
  return earliest;
}

Bytes make_ocsp_request(const Certificate& subject, const Certificate& issuer) {
  const std::unique_ptr<OCSP_REQUEST, FreeWith<OCSP_REQUEST_free>> request(OCSP_REQUEST_new());
  require(request != nullptr);
  // Responders index by SHA-1 (RFC 5019 section 2.1.1: "Clients MUST use SHA1 as the hashing algorithm").
  OcspId id(OCSP_cert_to_id(sha1_digest(), x509_of(subject), x509_of(issuer)));
  require(id != nullptr && OCSP_request_add0_id(request.get(), id.get()) != nullptr);
  (void)id.release();
  return to_der(i2d_OCSP_REQUEST, request.get());
}

}  // namespace cygnet::crypto
