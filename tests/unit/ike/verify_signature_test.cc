// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "crypto/private_key.h"
#include "ike/auth/local_keys.h"
#include "support/test_pki.h"

namespace cygnet::ike::auth {
namespace {

using crypto::EcdsaForm;
using crypto::KeyKind;
using crypto::SignatureScheme;
using test::kPkiNow;
using wire::ike::AuthMethodId;

struct Peer {
  test::TestCertificate root = test::make_authority("C=DE, O=Example, CN=Root");
  test::TestCertificate own;
  crypto::TrustStore trust;
  Bytes octets = to_bytes("SignedOctets");

  explicit Peer(KeyKind kind)
      : own(test::make_certificate({.subject = "C=DE, OU=VPN, CN=moon", .key = test::test_key(kind)}, &root)) {
    EXPECT_TRUE(trust.add_authority(root.der).has_value());
  }
  [[nodiscard]] Bytes sign(SignatureScheme scheme, EcdsaForm form) const {
    return crypto::PrivateKey::load(own.key_pem(), {}).value().sign(scheme, form, octets).value();
  }
  [[nodiscard]] Bytes digital_signature(SignatureScheme scheme) const {
    const auto identifier = crypto::algorithm_identifier(scheme);
    Bytes auth{static_cast<std::uint8_t>(identifier.size())};
    append(auth, identifier);
    append(auth, sign(scheme, EcdsaForm::kDer));
    return auth;
  }
  [[nodiscard]] SignatureVerify question(AuthMethodId method, Bytes presented) const {
    return {.method = method, .presented = std::move(presented), .octets = octets, .certificates = {own.der}};
  }
  [[nodiscard]] Verification ask(SignatureVerify what, std::int64_t now = kPkiNow) const {
    return verify_signature({.job = 7, .what = std::move(what)}, trust, now);
  }
};

testing::AssertionResult says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << text << "' does not say '" << part << "'";
}

TEST(VerifySignature, EveryMethodAndScheme) {
  struct Case {
    KeyKind kind;
    AuthMethodId method;
    SignatureScheme scheme;
  };
  using enum SignatureScheme;
  const auto digital = AuthMethodId::kDigitalSignature;
  for (const auto& [kind, method, scheme] :
       {Case{KeyKind::kRsa, AuthMethodId::kRsaSignature, kRsaPkcs1Sha1},
        Case{KeyKind::kRsa, AuthMethodId::kRsaSignature, kRsaPkcs1Sha256},
        Case{KeyKind::kEcdsaP256, AuthMethodId::kEcdsaP256, kEcdsaSha256},
        Case{KeyKind::kEcdsaP384, AuthMethodId::kEcdsaP384, kEcdsaSha384},
        Case{KeyKind::kEcdsaP521, AuthMethodId::kEcdsaP521, kEcdsaSha512}, Case{KeyKind::kRsa, digital, kRsaPssSha256},
        Case{KeyKind::kRsa, digital, kRsaPkcs1Sha512}, Case{KeyKind::kEcdsaP256, digital, kEcdsaSha512},
        Case{KeyKind::kEd25519, digital, kEd25519}, Case{KeyKind::kEd448, digital, kEd448}}) {
    const Peer peer(kind);
    auto auth = method == digital ? peer.digital_signature(scheme) : peer.sign(scheme, EcdsaForm::kFixed);
    const auto good = peer.ask(peer.question(method, auth)).result;
    EXPECT_TRUE(good.ok) << good.error;
    EXPECT_EQ(good.job, 7U);
    EXPECT_TRUE(says(good.source, "CN=moon"));
    auth.back() ^= 1U;
    const auto bad = peer.ask(peer.question(method, auth)).result;
    EXPECT_FALSE(bad.ok);
    EXPECT_TRUE(says(bad.error, "signature is wrong"));
    EXPECT_FALSE(bad.facts.has_value());
  }
}

TEST(VerifySignature, FactsAreThoseOfThePath) {
  const Peer peer(KeyKind::kEcdsaP256);
  const auto asked =
      peer.ask(peer.question(AuthMethodId::kDigitalSignature, peer.digital_signature(SignatureScheme::kEcdsaSha256)));
  ASSERT_TRUE(asked.result.facts.has_value());
  const auto& facts = *asked.result.facts;
  EXPECT_EQ(asked.result.source, "ECDSA with SHA2-256, ECDSA P-256, C=DE, OU=VPN, CN=moon");
  ASSERT_TRUE(facts.certificate.has_value());
  EXPECT_EQ(facts.certificate->der(), peer.own.der);
  EXPECT_EQ(facts.public_key, test::key_to_spki(peer.own.key.get()));
  ASSERT_EQ(facts.issuers.size(), 1U);
  EXPECT_EQ(facts.issuers[0], crypto::Certificate::parse(peer.root.der).value().subject());
  EXPECT_EQ(facts.organizational_units, (std::vector<std::string>{"VPN"}));
  EXPECT_EQ(facts.not_after, kPkiNow + 365 * test::kDay);
  EXPECT_FALSE(facts.revoked);
  EXPECT_FALSE(facts.revocation_known);
}

TEST(VerifySignature, RevocationIsAFactForTheRulesToJudge) {
  const Peer peer(KeyKind::kEcdsaP256);
  auto what = peer.question(AuthMethodId::kEcdsaP256, peer.sign(SignatureScheme::kEcdsaSha256, EcdsaForm::kFixed));
  what.crls = {test::make_crl(peer.root, {.revoked = {peer.own.der}})};
  const auto result = peer.ask(what).result;
  ASSERT_TRUE(result.facts.has_value());
  EXPECT_TRUE(result.facts->revoked);
  EXPECT_TRUE(result.facts->revocation_known);
}

TEST(VerifySignature, MethodsThatDoNotFitTheKeyOrAreNotTaken) {
  const Peer peer(KeyKind::kRsa);
  const auto error = [&](AuthMethodId method, Bytes presented) {
    return peer.ask(peer.question(method, std::move(presented))).result.error;
  };
  EXPECT_TRUE(says(error(AuthMethodId::kEcdsaP256, Bytes(64)), "for ECDSA P-256, its key is RSA 2048"));
  EXPECT_TRUE(says(error(AuthMethodId::kDigitalSignature, {}), "cut off"));
  EXPECT_TRUE(says(error(AuthMethodId::kDigitalSignature, {200, 0x30}), "cut off"));
  EXPECT_TRUE(
      says(error(AuthMethodId::kDigitalSignature, {2, 0x30, 0x00}), "not taken here (AlgorithmIdentifier 3000)"));
  EXPECT_TRUE(says(error(AuthMethodId::kDigitalSignature, peer.digital_signature(SignatureScheme::kRsaPkcs1Sha1)),
                   "signed with SHA-1"));
  EXPECT_TRUE(says(error(AuthMethodId::kSharedKey, Bytes(32)), "is no signature"));
  EXPECT_FALSE(verify_signature({.job = 1, .what = PskProve{}}, peer.trust, kPkiNow).result.ok);
}

TEST(VerifySignature, TheRightSignatureUnderAStrangersCertificate) {
  const Peer peer(KeyKind::kEcdsaP256);
  auto what = peer.question(AuthMethodId::kEcdsaP256, peer.sign(SignatureScheme::kEcdsaSha256, EcdsaForm::kFixed));
  what.certificates = {test::make_certificate({.subject = "CN=self", .key = peer.own.key}).der};
  EXPECT_TRUE(says(peer.ask(what).result.error, "not trusted here"));
  EXPECT_TRUE(
      says(peer.ask(peer.question(what.method, what.presented), kPkiNow + 1000 * test::kDay).result.error, "expired"));
  // The configuration names its key: the key is trusted, what its certificate says is not passed on.
  what.known_keys = {test::key_to_spki(peer.own.key.get())};
  const auto pinned = peer.ask(what).result;
  ASSERT_TRUE(pinned.ok) << pinned.error;
  EXPECT_FALSE(pinned.facts->certificate.has_value());
  EXPECT_EQ(pinned.facts->public_key, what.known_keys[0]);
}

// The configuration names a certificate of an authority that is known here, and its holder shows the key in another
// wrapping: what is said of the certificate counts all the same.
TEST(VerifySignature, ThePinnedCertificateIsJudgedHoweverItsKeyIsShown) {
  Peer peer(KeyKind::kEd25519);
  const auto spki = test::key_to_spki(peer.own.key.get());
  const auto other =
      test::make_certificate({.subject = "CN=other", .key = test::test_key(KeyKind::kEd25519, 1)}, &peer.root);
  auto wrapped = peer.question(AuthMethodId::kDigitalSignature, peer.digital_signature(SignatureScheme::kEd25519));
  wrapped.certificates = {test::make_certificate({.subject = "CN=self", .key = peer.own.key}).der};
  wrapped.known_keys = {test::key_to_spki(other.key.get()), spki};
  wrapped.pinned = {other.der, peer.own.der};
  auto raw = wrapped;
  raw.certificates.clear();
  raw.raw_public_key = spki;
  auto unsent = raw;
  unsent.raw_public_key.clear();
  for (const auto& what : {wrapped, raw, unsent}) {
    const auto good = peer.ask(what).result;
    ASSERT_TRUE(good.ok) << good.error;
    ASSERT_TRUE(good.facts->certificate.has_value());
    EXPECT_EQ(good.facts->certificate->der(), peer.own.der);
    EXPECT_FALSE(good.facts->revoked);
    EXPECT_TRUE(says(peer.ask(what, kPkiNow + 1000 * test::kDay).result.error, "expired"));
    EXPECT_TRUE(says(peer.ask(what, kPkiNow - 1000 * test::kDay).result.error, "not valid"));
  }
  ASSERT_TRUE(peer.trust.add_crl(test::make_crl(peer.root, {.revoked = {peer.own.der}})).has_value());
  for (const auto& what : {wrapped, raw, unsent}) {
    const auto result = peer.ask(what).result;
    EXPECT_TRUE(!result.ok || result.facts->revoked) << "revoked, and nobody says so";
  }
  // Nobody here vouches for it: the key alone counts, and what the certificate says does not.
  unsent.pinned = {wrapped.certificates.front()};
  const auto alone = peer.ask(unsent, kPkiNow + 1000 * test::kDay).result;
  ASSERT_TRUE(alone.ok) << alone.error;
  EXPECT_FALSE(alone.facts->certificate.has_value());
}

TEST(VerifySignature, RawPublicKeysMustBeKnown) {
  const Peer peer(KeyKind::kEd25519);
  const auto spki = test::key_to_spki(peer.own.key.get());
  const auto other = test::key_to_spki(test::test_key(KeyKind::kEd25519, 1).get());
  SignatureVerify what{.method = AuthMethodId::kDigitalSignature,
                       .presented = peer.digital_signature(SignatureScheme::kEd25519),
                       .octets = peer.octets};
  EXPECT_TRUE(says(peer.ask(what).result.error, "names no public key"));
  what.raw_public_key = spki;
  EXPECT_TRUE(says(peer.ask(what).result.error, "no connection names"));
  what.known_keys = {other};
  EXPECT_FALSE(peer.ask(what).result.ok);
  what.known_keys = {other, spki};
  EXPECT_TRUE(peer.ask(what).result.ok);
  EXPECT_EQ(peer.ask(what).result.source, "Ed25519, raw public key");
  what.raw_public_key.clear();
  EXPECT_TRUE(peer.ask(what).result.ok) << "known and not sent";
  what.known_keys = {other};
  EXPECT_TRUE(says(peer.ask(what).result.error, "signature is wrong"));
}

TEST(VerifySignature, SourcesAreNamedOnlyIfTheNetworkMayBeAsked) {
  Peer peer(KeyKind::kEcdsaP256);
  peer.own = test::make_certificate({.key = peer.own.key, .crl_url = "http://crl.example.org/"}, &peer.root);
  auto what = peer.question(AuthMethodId::kEcdsaP256, peer.sign(SignatureScheme::kEcdsaSha256, EcdsaForm::kFixed));
  EXPECT_EQ(peer.ask(what).sources.size(), 1U);
  what.fetch_revocation = false;
  EXPECT_TRUE(peer.ask(what).sources.empty());
}

}  // namespace
}  // namespace cygnet::ike::auth
