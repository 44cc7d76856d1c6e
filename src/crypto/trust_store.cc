// SPDX-License-Identifier: Apache-2.0
#include "crypto/trust_store.h"

#include <openssl/x509_vfy.h>

#include <algorithm>

#include "crypto/x509.h"
#include "model/distinguished_name.h"

namespace cygnet::crypto {
namespace {

constexpr std::size_t kMaxOcspResponses = 256;
constexpr std::size_t kMaxStapled = 8;
constexpr std::size_t kMaxCrlsOfUnknown = 64;

using VerifyContext = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;
struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_pop_free(stack, X509_free); }
};
using Stack = std::unique_ptr<STACK_OF(X509), FreeStack>;

Stack new_stack() {
  Stack stack(sk_X509_new_null());
  require(stack != nullptr);
  return stack;
}

void push(const Stack& stack, ByteView der) {
  auto x509 = to_x509(der);
  if (x509 != nullptr && sk_X509_push(stack.get(), x509.get()) > 0) (void)x509.release();
}

// What to do about it, for the errors that people meet.
std::string explain(int error, const Certificate* at, std::int64_t now) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "expired on " + (at ? date_text(at->not_after()) : "a past day") + " (now: " + date_text(now) +
             "): renew it, or set the clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "is not valid before " + (at ? date_text(at->not_before()) : "a later day") + " (now: " + date_text(now) +
             "): look at the clocks of both ends";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "was issued by '" + (at ? at->issuer_text() : std::string("somebody")) +
             "', of whom there is no certificate: add it to cacerts/, or let the peer send the intermediate";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "signs itself and is not trusted here: add it to cacerts/ if it should be";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: return "has a wrong signature: it is damaged or forged";
    case X509_V_ERR_INVALID_CA: return "issued another one, but is no authority (basicConstraints)";
    case X509_V_ERR_PATH_LENGTH_EXCEEDED: return "may not have so many authorities below it (pathLenConstraint)";
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION: return "has a critical extension that is unknown here";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG: return "is part of a path of more than 8 certificates";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
      return "has a name that one of its authorities may not certify (nameConstraints)";
    default: return std::string("is refused: ") + X509_verify_cert_error_string(error);
  }
}

Result<void> judge_strength(const Certificate& certificate, bool anchor, unsigned least_rsa_bits) {
  const auto& key = certificate.public_key();
  if (key.kind() == KeyKind::kRsa && key.bits() < least_rsa_bits) {
    return fail("the certificate '" + certificate.subject_text() + "' has a key of " + std::to_string(key.bits()) +
                " bits; " + std::to_string(least_rsa_bits) + " are the least: issue it again with a longer key");
  }
  // The signature on an anchor proves nothing: it is trusted because it is here.
  if (!anchor && !certificate.signed_with_strong_hash()) {
    return fail("the certificate '" + certificate.subject_text() +
                "' is signed with SHA-1 or weaker, which can be forged: issue it again with SHA-256");
  }
  return {};
}

Result<void> judge_path(const std::vector<Certificate>& path, unsigned least_rsa_bits) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (auto strong = judge_strength(path[i], i + 1 == path.size(), least_rsa_bits); !strong) return strong;
    // RFC 5280 section 6.1.4 (k): basicConstraints with cA TRUE in every intermediate certificate.
    if (i > 0 && i + 1 < path.size() && !path[i].is_authority()) {
      return fail("the certificate '" + path[i].subject_text() + "' issued another one, but is no authority");
    }
  }
  if (auto may = path.front().may_authenticate(); !may) {
    return fail("the certificate '" + path.front().subject_text() + "' is not for IKE: " + may.error().message);
  }
  return {};
}

// The newest list of this issuer that is authentic; null: none.
const Crl* find_crl(const std::vector<Crl>& crls, const Certificate& issuer) {
  const Crl* newest = nullptr;
  for (const auto& crl : crls) {
    if ((newest == nullptr || crl.this_update() > newest->this_update()) && crl.is_of(issuer)) newest = &crl;
  }
  return newest;
}

// One certificate of the path: what OCSP says counts before the list, revoked before all.
RevocationAnswer judge_one(const Certificate& subject, const Certificate& issuer, const std::vector<Crl>& crls,
                           const std::vector<OcspResponse>& responses, std::int64_t now) {
  RevocationAnswer best{RevocationStatus::kUnknown,
                        "there is neither CRL nor OCSP response for " + subject.subject_text()};
  const auto consider = [&](const RevocationAnswer& answer) {
    const bool first = best.status == RevocationStatus::kUnknown;
    if (first || answer.status == RevocationStatus::kRevoked) best = answer;
  };
  for (const auto& response : responses) {
    if (const auto answer = response.judge(subject, issuer, now)) consider(*answer);
  }
  if (const Crl* crl = find_crl(crls, issuer)) consider(crl->judge(subject, now));
  return best;
}

}  // namespace

Result<void> TrustStore::add_authority(ByteView der) {
  auto certificate = Certificate::parse(der);
  if (!certificate) return std::unexpected(certificate.error());
  const bool known = std::any_of(authorities_.begin(), authorities_.end(),
                                 [&](const auto& other) { return other.der() == certificate->der(); });
  if (!known) authorities_.push_back(std::move(*certificate));
  return {};
}

void TrustStore::add_intermediate(const Certificate& certificate) { intermediates_.push_back(certificate); }

Result<void> TrustStore::add_crl(ByteView bytes) {
  auto crl = Crl::parse(bytes);
  if (!crl) return std::unexpected(crl.error());
  const Certificate* issuer = nullptr;
  bool name_known = false;
  for (const auto* list : {&authorities_, &intermediates_}) {
    for (const auto& candidate : *list) {
      if (!model::distinguished_names_equal(candidate.subject(), crl->issuer())) continue;
      name_known = true;
      if (issuer == nullptr && crl->is_of(candidate)) issuer = &candidate;
    }
  }
  if (name_known && issuer == nullptr) {
    return fail("the CRL of " + model::distinguished_name_to_string(crl->issuer()) +
                " is not signed by the authority of that name here: fetch it again");
  }
  if (issuer != nullptr) {
    const Crl* held = find_crl(crls_, *issuer);
    if (held != nullptr && held->this_update() > crl->this_update()) return {};
    std::erase_if(crls_, [&](const Crl& other) { return other.is_of(*issuer); });
  } else if (crls_.size() >= kMaxCrlsOfUnknown) {
    return fail("too many CRLs of authorities whose certificates are not here");
  }
  crls_.push_back(std::move(*crl));
  return {};
}

Result<void> TrustStore::add_ocsp_response(ByteView der) {
  auto response = OcspResponse::parse(der);
  if (!response) return std::unexpected(response.error());
  if (ocsp_responses_.size() >= kMaxOcspResponses) ocsp_responses_.erase(ocsp_responses_.begin());
  ocsp_responses_.push_back(std::move(*response));
  return {};
}

void TrustStore::add_urls(const Bytes& authority_subject, const std::vector<std::string>& crl_urls,
                          const std::vector<std::string>& ocsp_urls) {
  urls_.push_back({authority_subject, crl_urls, ocsp_urls});
}

Result<Path> TrustStore::validate(const PathQuery& query) const {
  if (query.intermediates.size() > kMaxIntermediates) {
    return fail("the peer sent " + std::to_string(query.intermediates.size()) +
                " intermediate certificates; more than " + std::to_string(kMaxIntermediates) + " are refused");
  }
  const auto leaf = Certificate::parse(query.leaf);
  if (!leaf) return std::unexpected(leaf.error());
  auto certificates = find_path(*leaf, query);
  if (!certificates) return std::unexpected(certificates.error());
  if (auto fits = judge_path(*certificates, query.least_rsa_bits); !fits) return std::unexpected(fits.error());
  Path path;
  path.certificates = std::move(*certificates);
  judge_revocation(query, path);
  return path;
}

Result<std::vector<Certificate>> TrustStore::find_path(const Certificate& leaf, const PathQuery& query) const {
  const auto anchors = new_stack();
  const auto others = new_stack();
  for (const auto& authority : authorities_) push(anchors, authority.der());
  for (const auto& der : query.intermediates) {
    if (der.size() > Certificate::kMaxOctets) return fail("an intermediate certificate is longer than 64 KiB");
    push(others, der);  // what is no certificate is a stranger, as are certificates that lead nowhere
  }
  for (const auto& intermediate : intermediates_) push(others, intermediate.der());
  ERR_clear_error();
  const auto target = to_x509(leaf.der());
  const VerifyContext context(X509_STORE_CTX_new());
  require(target != nullptr && context != nullptr);
  require_ok(X509_STORE_CTX_init(context.get(), nullptr, target.get(), others.get()));
  X509_STORE_CTX_set0_trusted_stack(context.get(), anchors.get());
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(rules, static_cast<time_t>(query.now));
  X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(kMaxPath) - 2);
  X509_VERIFY_PARAM_set_auth_level(rules, 0);  // key and hash strength: judge_strength, with sentences
  require_ok(X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST));
  if (X509_verify_cert(context.get()) != 1) {
    const int error = X509_STORE_CTX_get_error(context.get());
    X509* where = X509_STORE_CTX_get_current_cert(context.get());
    const auto at = where == nullptr ? Result<Certificate>(leaf) : Certificate::parse(to_der(i2d_X509, where));
    const auto name = at ? at->subject_text() : leaf.subject_text();
    return refuse("the certificate '" + name + "' " + explain(error, at ? &*at : nullptr, query.now));
  }
  // Reading a certificate takes longer than checking the signature on it: none is read twice.
  const auto find_held = [this](const Bytes& der) -> const Certificate* {
    for (const auto* list : {&authorities_, &intermediates_}) {
      const auto at = std::find_if(list->begin(), list->end(), [&](const auto& held) { return held.der() == der; });
      if (at != list->end()) return &*at;
    }
    return nullptr;
  };
  std::vector<Certificate> path;
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const auto der = to_der(i2d_X509, sk_X509_value(chain, i));
    if (const auto* known = i == 0 ? &leaf : find_held(der)) {
      path.push_back(*known);
      continue;
    }
    auto certificate = Certificate::parse(der);
    if (!certificate) return std::unexpected(certificate.error());
    path.push_back(std::move(*certificate));
  }
  ERR_clear_error();
  return path;
}

void TrustStore::judge_revocation(const PathQuery& query, Path& path) const {
  auto crls = crls_;
  auto responses = ocsp_responses_;
  for (std::size_t i = 0; i < query.crls.size() && i < kMaxStapled; ++i) {
    if (auto crl = Crl::parse(query.crls[i])) crls.push_back(std::move(*crl));
  }
  for (std::size_t i = 0; i < query.ocsp_responses.size() && i < kMaxStapled; ++i) {
    if (auto response = OcspResponse::parse(query.ocsp_responses[i])) responses.push_back(std::move(*response));
  }
  path.revocation = RevocationStatus::kGood;
  path.revocation_text = "not revoked";
  for (std::size_t i = 0; i + 1 < path.certificates.size(); ++i) {
    const auto& subject = path.certificates[i];
    const auto& issuer = path.certificates[i + 1];
    const auto answer = judge_one(subject, issuer, crls, responses, query.now);
    if (answer.status == RevocationStatus::kUnknown) add_sources(subject, issuer, path);
    const bool worse = answer.status == RevocationStatus::kRevoked ||
                       (answer.status == RevocationStatus::kUnknown && path.revocation == RevocationStatus::kGood);
    if (worse && path.revocation != RevocationStatus::kRevoked) {
      path.revocation = answer.status;
      path.revocation_text = answer.text;
    }
  }
}

void TrustStore::add_sources(const Certificate& subject, const Certificate& issuer, Path& path) const {
  auto ocsp = subject.ocsp_urls();
  auto crl = subject.crl_urls();
  for (const auto& urls : urls_) {
    if (!model::distinguished_names_equal(urls.subject, issuer.subject())) continue;
    ocsp.insert(ocsp.end(), urls.ocsp.begin(), urls.ocsp.end());
    crl.insert(crl.end(), urls.crl.begin(), urls.crl.end());
  }
  for (const auto& url : ocsp) {
    path.sources.push_back({RevocationSource::Kind::kOcsp, url, make_ocsp_request(subject, issuer)});
  }
  for (const auto& url : crl) path.sources.push_back({RevocationSource::Kind::kCrl, url, {}});
}

}  // namespace cygnet::crypto
