// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ike/auth/local_keys.h"

namespace cygnet::ike::auth {
namespace {

using crypto::EcdsaForm;
using crypto::KeyKind;
using crypto::PublicKey;
using crypto::SignatureScheme;
using wire::ike::AuthMethodId;

struct Claim {
  std::vector<SignatureScheme> schemes;  // any of them
  EcdsaForm form = EcdsaForm::kFixed;
  ByteView signature;
};

// RFC 4754 section 3: the method fixes curve and hash together.
Result<Claim> claim_of_curve(KeyKind wanted, SignatureScheme scheme, const PublicKey& key, ByteView presented) {
  if (key.kind() != wanted) {
    return fail("the peer's AUTH method is for " + std::string(crypto::to_string(wanted)) + ", its key is " +
                key.to_string());
  }
  return Claim{{scheme}, EcdsaForm::kFixed, presented};
}

// RFC 7427 section 3: "ASN.1 Length" (1 octet), AlgorithmIdentifier, signature.
Result<Claim> claim_of_digital_signature(ByteView presented) {
  if (presented.empty() || presented.size() < 1U + presented[0]) {
    return fail("the peer's Digital Signature is cut off in its AlgorithmIdentifier");
  }
  const auto identifier = presented.subspan(1, presented[0]);
  const auto scheme = crypto::parse_algorithm_identifier(identifier);
  if (!scheme) {
    return fail("the peer signed with an algorithm that is not taken here (AlgorithmIdentifier " +
                to_hex(identifier.first(std::min<std::size_t>(identifier.size(), 80))) + ")");
  }
  // RFC 8247 section 3.2: sha1WithRSAEncryption "MUST NOT".
  if (*scheme == SignatureScheme::kRsaPkcs1Sha1) return fail("the peer signed with SHA-1, which can be forged");
  return Claim{{*scheme}, EcdsaForm::kDer, presented.subspan(1U + presented[0])};
}

Result<Claim> claim_of(const SignatureVerify& what, const PublicKey& key) {
  const ByteView presented = what.presented;
  switch (what.method) {
    case AuthMethodId::kRsaSignature:
      // RFC 7296 section 3.8: the hash stands inside the signature, "SHA-1 ... as the default"; peers that know nothing
      // of RFC 7427 can do no better.
      return Claim{{SignatureScheme::kRsaPkcs1Sha1, SignatureScheme::kRsaPkcs1Sha256, SignatureScheme::kRsaPkcs1Sha384,
                    SignatureScheme::kRsaPkcs1Sha512},
                   EcdsaForm::kFixed,
                   presented};
    case AuthMethodId::kEcdsaP256:
      return claim_of_curve(KeyKind::kEcdsaP256, SignatureScheme::kEcdsaSha256, key, presented);
    case AuthMethodId::kEcdsaP384:
      return claim_of_curve(KeyKind::kEcdsaP384, SignatureScheme::kEcdsaSha384, key, presented);
    case AuthMethodId::kEcdsaP521:
      return claim_of_curve(KeyKind::kEcdsaP521, SignatureScheme::kEcdsaSha512, key, presented);
    case AuthMethodId::kDigitalSignature: return claim_of_digital_signature(presented);
    default: return fail("the peer's AUTH method " + wire::ike::to_string(what.method) + " is no signature");
  }
}

// The scheme that the signature was made with.
Result<SignatureScheme> check_signature(const SignatureVerify& what, const PublicKey& key) {
  const auto claim = claim_of(what, key);
  if (!claim) return std::unexpected(claim.error());
  for (const auto scheme : claim->schemes) {
    if (key.verify(scheme, claim->form, what.octets, claim->signature)) return scheme;
  }
  return fail("the peer's signature is wrong: it was not made with the private key of " + key.to_string());
}

bool is_known(const SignatureVerify& what, ByteView spki) {
  return std::any_of(what.known_keys.begin(), what.known_keys.end(),
                     [&](const Bytes& known) { return std::ranges::equal(known, spki); });
}

std::string describe(SignatureScheme scheme, const PublicKey& key, const std::string& whose) {
  const auto name = std::string(crypto::to_string(scheme));
  return (name == key.to_string() ? name : name + ", " + key.to_string()) + ", " + whose;
}

void succeed_with_key(AuthResult& result, SignatureScheme scheme, const PublicKey& key) {
  result.ok = true;
  result.source = describe(scheme, key, "raw public key");
  result.facts = PeerFacts{.public_key = key.spki()};
}

PeerFacts facts_of(const crypto::Path& path, const crypto::TrustStore& trust) {
  const auto& leaf = path.certificates.front();
  PeerFacts facts{.certificate = leaf,
                  .public_key = leaf.public_key().spki(),
                  .organizational_units = leaf.organizational_units(),
                  .not_after = leaf.not_after(),
                  .revoked = path.revocation == crypto::RevocationStatus::kRevoked,
                  .revocation_known = path.revocation != crypto::RevocationStatus::kUnknown,
                  .revocation_text = path.revocation_text};
  for (std::size_t i = 0; i < path.certificates.size(); ++i) {
    const auto& certificate = path.certificates[i];
    facts.not_after = std::min(facts.not_after, certificate.not_after());
    if (i == 0) continue;
    facts.issuers.push_back(certificate.subject());
    if (trust.holds(certificate)) facts.known_issuers.push_back(certificate.subject());
  }
  return facts;
}

crypto::PathQuery query_of(const SignatureVerify& what, std::int64_t now) {
  const auto skip = what.certificates.empty() ? 0 : 1;
  return {.leaf = {},
          .intermediates = {what.certificates.begin() + skip, what.certificates.end()},
          .crls = what.crls,
          .ocsp_responses = what.ocsp_responses,
          .now = now};
}

void succeed_with_path(const SignatureVerify& what, const crypto::TrustStore& trust, SignatureScheme scheme,
                       const crypto::Path& path, Verification& verification) {
  const auto& leaf = path.certificates.front();
  verification.result.ok = true;
  verification.result.source = describe(scheme, leaf.public_key(), leaf.subject_text());
  verification.result.facts = facts_of(path, trust);
  if (what.fetch_revocation && path.revocation == crypto::RevocationStatus::kUnknown)
    verification.sources = path.sources;
}

// A key that the configuration names is trusted by itself; what a certificate around it says is not. But where the
// configuration names it by a certificate that an authority known here has issued, that certificate is judged, in
// whatever wrapping the peer shows its key.
void succeed_with_known_key(const SignatureVerify& what, const crypto::TrustStore& trust, std::int64_t now,
                            SignatureScheme scheme, const PublicKey& key, Verification& verification) {
  for (const auto& der : what.pinned) {
    const auto pinned = trust.read(der);
    if (!pinned || pinned->public_key().spki() != key.spki()) continue;
    auto query = query_of(what, now);
    if (const auto path = trust.validate(*pinned, query))
      return succeed_with_path(what, trust, scheme, *path, verification);
    else if (query.now = std::clamp(now, pinned->not_before(), pinned->not_after()); trust.validate(*pinned, query)) {
      verification.result.error = path.error().message;  // its time is over, or has not come: nothing else is wrong
      return;
    }
  }
  succeed_with_key(verification.result, scheme, key);
}

// A peer without certificate: one of the keys that the configuration names, the presented one if there is one.
void verify_raw_key(const SignatureVerify& what, const crypto::TrustStore& trust, std::int64_t now,
                    Verification& verification) {
  auto& result = verification.result;
  if (!what.raw_public_key.empty() && !is_known(what, what.raw_public_key)) {
    result.error = "the peer sent a raw public key that no connection names: compare it with rightpubkey=";
    return;
  }
  result.error = "the peer sent no certificate, and the configuration names no public key of it";
  for (const auto& known : what.known_keys) {
    if (!what.raw_public_key.empty() && known != what.raw_public_key) continue;
    const auto key = PublicKey::from_spki(known);
    const auto scheme = key ? check_signature(what, *key) : std::unexpected(key.error());
    if (scheme) {
      result.error.clear();
      return succeed_with_known_key(what, trust, now, *scheme, *key, verification);
    }
    result.error = scheme.error().message;
  }
}

void verify_certificate(const SignatureVerify& what, const crypto::TrustStore& trust, std::int64_t now,
                        Verification& verification) {
  auto& result = verification.result;
  const auto leaf = trust.read(what.certificates.front());
  const auto scheme = leaf ? check_signature(what, leaf->public_key()) : std::unexpected(leaf.error());
  if (!scheme) {
    result.error = scheme.error().message + (leaf ? " (certificate '" + leaf->subject_text() + "')" : "");
    return;
  }
  const auto path = trust.validate(*leaf, query_of(what, now));
  if (!path) {
    if (is_known(what, leaf->public_key().spki()))
      return succeed_with_known_key(what, trust, now, *scheme, leaf->public_key(), verification);
    result.error = path.error().message;
    return;
  }
  succeed_with_path(what, trust, *scheme, *path, verification);
}

}  // namespace

Verification verify_signature(const AuthJob& job, const crypto::TrustStore& trust, std::int64_t wall_seconds) {
  Verification verification;
  verification.result.job = job.job;
  const auto* what = std::get_if<SignatureVerify>(&job.what);
  if (what == nullptr) {
    verification.result.error = "this job verifies no signature";
    return verification;
  }
  verification.result.method = what->method;
  if (what->certificates.empty()) {
    verify_raw_key(*what, trust, wall_seconds, verification);
  } else {
    verify_certificate(*what, trust, wall_seconds, verification);
  }
  return verification;
}

}  // namespace cygnet::ike::auth
