// SPDX-License-Identifier: Apache-2.0
#include "crypto/trust_store.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <span>

#include "crypto/x509.h"
#include "model/distinguished_name.h"

namespace cygnet::crypto {
namespace {

constexpr std::size_t kMaxOcspResponses = 256;
constexpr std::size_t kMaxStapled = 8;
constexpr std::size_t kMaxCrlsOfUnknown = 64;

using VerifyStore = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;
using VerifyContext = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;
struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_pop_free(stack, X509_free); }
};
using Stack = std::unique_ptr<STACK_OF(X509), FreeStack>;

Stack stack_of(std::span<const Certificate> certificates) {
  Stack stack(sk_X509_new_null());
  require(stack != nullptr);
  for (const auto& certificate : certificates) {
    X509* x509 = x509_of(certificate);
    require(X509_up_ref(x509) == 1 && sk_X509_push(stack.get(), x509) > 0);
  }
  return stack;
}

// What one search knows: OpenSSL finds and judges the path, and asks here about signatures and dates.
struct Search {
  std::vector<Certificate> known;  // leaf first
  const PathMemory* memory = nullptr;
  std::int64_t now = 0;

  [[nodiscard]] const Certificate* find(const X509* x509) const {
    const auto at = std::find_if(known.begin(), known.end(), [&](const auto& c) { return x509_of(c) == x509; });
    return at == known.end() ? nullptr : &*at;
  }
};

bool is_signed_by(const Certificate& subject, const Certificate& issuer, const PathMemory* memory) {
  if (memory != nullptr && memory->knows_signature(subject, issuer)) return true;
  return X509_verify(x509_of(subject), X509_get0_pubkey(x509_of(issuer))) == 1;
}

// The first thing wrong with certificate `i` of a chain whose last is trusted as it stands.
int fault_at(const Search& search, const STACK_OF(X509) * chain, int i) {
  const Certificate* subject = search.find(sk_X509_value(chain, i));
  if (subject == nullptr) return X509_V_ERR_UNSPECIFIED;
  if (i + 1 < sk_X509_num(chain)) {
    const Certificate* issuer = search.find(sk_X509_value(chain, i + 1));
    if (issuer == nullptr) return X509_V_ERR_UNSPECIFIED;
    // RFC 5280 section 6.1.4 (n): "If a key usage extension is present, verify that the keyCertSign bit is set."
    if ((X509_get_key_usage(x509_of(*issuer)) & KU_KEY_CERT_SIGN) == 0) return X509_V_ERR_KEYUSAGE_NO_CERTSIGN;
    if (!is_signed_by(*subject, *issuer, search.memory)) return X509_V_ERR_CERT_SIGNATURE_FAILURE;
  }
  if (search.now < subject->not_before()) return X509_V_ERR_CERT_NOT_YET_VALID;
  return search.now > subject->not_after() ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_OK;
}

// In the place of OpenSSL's own, which would check each signature each time (RFC 5280 section 6.1.3 (a) 1 and 2).
int check_signatures_and_dates(X509_STORE_CTX* context) {
  const auto& search = *static_cast<const Search*>(X509_STORE_CTX_get_app_data(context));
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context);
  for (int i = sk_X509_num(chain) - 1; i >= 0; --i) {
    const int fault = fault_at(search, chain, i);
    if (fault == X509_V_OK) continue;
    X509_STORE_CTX_set_error(context, fault);
    X509_STORE_CTX_set_error_depth(context, i);
    X509_STORE_CTX_set_current_cert(context, sk_X509_value(chain, i));
    return 0;
  }
  return 1;
}

// What to do about it, for the errors that people meet.
std::string explain(int error, const Certificate& at, std::int64_t now) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "expired on " + date_text(at.not_after()) + " (now: " + date_text(now) + "): renew it, or set the clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "is not valid before " + date_text(at.not_before()) + " (now: " + date_text(now) +
             "): look at the clocks of both ends";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "was issued by '" + at.issuer_text() +
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

// What is here, and what the peer sent.
struct Evidence {
  std::array<const std::vector<Crl>*, 2> crls;
  std::array<const std::vector<OcspResponse>*, 2> responses;
};

// One certificate of the path: what OCSP says counts before the list, revoked before all.
RevocationAnswer judge_one(const Certificate& subject, const Certificate& issuer, const Evidence& evidence,
                           std::int64_t now) {
  RevocationAnswer best{RevocationStatus::kUnknown,
                        "there is neither CRL nor OCSP response for " + subject.subject_text()};
  const auto consider = [&](const RevocationAnswer& answer) {
    const bool first = best.status == RevocationStatus::kUnknown;
    if (first || answer.status == RevocationStatus::kRevoked) best = answer;
  };
  for (const auto* responses : evidence.responses) {
    for (const auto& response : *responses) {
      if (const auto answer = response.judge(subject, issuer, now)) consider(*answer);
    }
  }
  const Crl* newest = nullptr;
  for (const auto* crls : evidence.crls) {
    const Crl* crl = find_crl(*crls, issuer);
    if (crl != nullptr && (newest == nullptr || crl->this_update() > newest->this_update())) newest = crl;
  }
  if (newest != nullptr) consider(newest->judge(subject, now));
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
    (void)crl->settle(*issuer);
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

Result<Certificate> TrustStore::read(ByteView der) const {
  if (der.size() > Certificate::kMaxOctets) return Certificate::parse(der);
  const auto fingerprint = sha2_256(der);
  for (const auto* list : {&authorities_, &intermediates_}) {
    const auto at = std::ranges::find(*list, fingerprint, &Certificate::fingerprint);
    if (at != list->end()) return *at;
  }
  if (memory_ != nullptr) {
    if (auto known = memory_->find(fingerprint)) return std::move(*known);
  }
  return Certificate::parse(der);
}

bool TrustStore::holds(const Certificate& authority) const {
  const auto same = [&](const Certificate& ours) {
    return ours.subject() == authority.subject() && ours.public_key().spki() == authority.public_key().spki();
  };
  return std::ranges::any_of(authorities_, same) || std::ranges::any_of(intermediates_, same);
}

Result<Path> TrustStore::validate(const PathQuery& query) const {
  const auto leaf = read(query.leaf);
  return leaf ? validate(*leaf, query) : std::unexpected(leaf.error());
}

Result<Path> TrustStore::validate(const Certificate& leaf, const PathQuery& query) const {
  if (query.intermediates.size() > kMaxIntermediates) {
    return fail("the peer sent " + std::to_string(query.intermediates.size()) +
                " intermediate certificates; more than " + std::to_string(kMaxIntermediates) + " are refused");
  }
  auto certificates = find_path(leaf, query);
  if (!certificates) return std::unexpected(certificates.error());
  if (auto fits = judge_path(*certificates, query.least_rsa_bits); !fits) return std::unexpected(fits.error());
  if (memory_ != nullptr) memory_->keep(*certificates);
  Path path;
  path.certificates = std::move(*certificates);
  judge_revocation(query, path);
  return path;
}

Result<std::vector<Certificate>> TrustStore::find_path(const Certificate& leaf, const PathQuery& query) const {
  Search search{.known = {leaf}, .memory = memory_.get()};
  for (const auto& der : query.intermediates) {
    if (der.size() > Certificate::kMaxOctets) return fail("an intermediate certificate is longer than 64 KiB");
    // What is no certificate is a stranger, as are certificates that lead nowhere.
    if (auto certificate = read(der)) search.known.push_back(std::move(*certificate));
  }
  search.known.insert(search.known.end(), intermediates_.begin(), intermediates_.end());
  const auto others = stack_of({search.known.begin() + 1, search.known.end()});
  const auto anchors = stack_of(authorities_);
  search.known.insert(search.known.end(), authorities_.begin(), authorities_.end());
  const VerifyStore store(X509_STORE_new());
  const VerifyContext context(X509_STORE_CTX_new());
  require(store != nullptr && context != nullptr);
  X509_STORE_set_verify(store.get(), check_signatures_and_dates);
  require_ok(X509_STORE_CTX_init(context.get(), store.get(), x509_of(leaf), others.get()));
  require_ok(X509_STORE_CTX_set_app_data(context.get(), &search));
  X509_STORE_CTX_set0_trusted_stack(context.get(), anchors.get());
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(rules, static_cast<time_t>(query.now));
  X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(kMaxPath) - 2);
  X509_VERIFY_PARAM_set_auth_level(rules, 0);  // key and hash strength: judge_strength, with sentences
  require_ok(X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST));
  search.now = query.now;
  if (X509_verify_cert(context.get()) != 1) {
    const Certificate* where = search.find(X509_STORE_CTX_get_current_cert(context.get()));
    const auto& at = where == nullptr ? leaf : *where;
    return refuse("the certificate '" + at.subject_text() + "' " +
                  explain(X509_STORE_CTX_get_error(context.get()), at, query.now));
  }
  std::vector<Certificate> path;
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const Certificate* at = search.find(sk_X509_value(chain, i));
    require(at != nullptr);  // it took them from here
    path.push_back(*at);
  }
  ERR_clear_error();
  return path;
}

void TrustStore::judge_revocation(const PathQuery& query, Path& path) const {
  std::vector<Crl> crls;
  std::vector<OcspResponse> responses;
  for (std::size_t i = 0; i < query.crls.size() && i < kMaxStapled; ++i) {
    if (auto crl = Crl::parse(query.crls[i])) crls.push_back(std::move(*crl));
  }
  for (std::size_t i = 0; i < query.ocsp_responses.size() && i < kMaxStapled; ++i) {
    if (auto response = OcspResponse::parse(query.ocsp_responses[i])) responses.push_back(std::move(*response));
  }
  const Evidence evidence{.crls = {&crls_, &crls}, .responses = {&ocsp_responses_, &responses}};
  path.revocation = RevocationStatus::kGood;
  path.revocation_text = "not revoked";
  for (std::size_t i = 0; i + 1 < path.certificates.size(); ++i) {
    const auto& subject = path.certificates[i];
    const auto& issuer = path.certificates[i + 1];
    const auto answer = judge_one(subject, issuer, evidence, query.now);
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
    path.sources.push_back({RevocationSource::Kind::kOcsp, url, make_ocsp_request(subject, issuer), subject, issuer});
  }
  for (const auto& url : crl) path.sources.push_back({RevocationSource::Kind::kCrl, url, {}, subject, issuer});
}

}  // namespace cygnet::crypto
