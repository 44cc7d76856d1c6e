// SPDX-License-Identifier: Apache-2.0
#include "crypto/trust_store.h"

#include <gtest/gtest.h>

#include "model/distinguished_name.h"
#include "support/test_pki.h"

namespace cygnet::crypto {
namespace {

using test::CertificateOptions;
using test::kDay;
using test::kPkiNow;
using test::make_authority;
using test::make_certificate;
using test::TestCertificate;

constexpr auto kRootName = "C=DE, O=Example, CN=Root";

struct World {
  TestCertificate root = make_authority(kRootName);
  TestCertificate middle = make_authority("C=DE, O=Example, CN=Middle", &root);
  TrustStore store;
  World() { EXPECT_TRUE(store.add_authority(root.der).has_value()); }

  [[nodiscard]] Result<Path> validate(const TestCertificate& leaf, std::vector<Bytes> others = {},
                                      std::int64_t now = kPkiNow) const {
    return store.validate({.leaf = leaf.der, .intermediates = std::move(others), .now = now});
  }
  [[nodiscard]] std::string why_not(const CertificateOptions& options) const {
    const auto path = validate(make_certificate(options, &root));
    return path ? "accepted" : path.error().message;
  }
};

testing::AssertionResult says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << text << "' does not say '" << part << "'";
}

TEST(TrustStore, IntermediatesInAnyOrderWithStrangersAndLoops) {
  World world;
  const auto lower = make_authority("C=DE, O=Example, CN=Lower", &world.middle);
  const auto leaf = make_certificate({}, &lower);
  const auto stranger = make_authority("C=FR, CN=Stranger");
  // A and B certify each other, as cross-certified authorities do.
  const auto cross = make_authority("C=DE, O=Example, CN=Middle", &lower);
  const auto path =
      world.validate(leaf, {cross.der, stranger.der, world.middle.der, to_bytes("junk"), leaf.der, lower.der});
  ASSERT_TRUE(path.has_value()) << path.error().message;
  ASSERT_EQ(path->certificates.size(), 4U);
  EXPECT_EQ(path->certificates[0].der(), leaf.der);
  EXPECT_EQ(path->certificates[1].der(), lower.der);
  EXPECT_EQ(path->certificates[2].der(), world.middle.der);
  EXPECT_EQ(path->certificates[3].der(), world.root.der);
}

TEST(TrustStore, WithoutTheIntermediateItSaysWhoIsMissing) {
  World world;
  const auto path = world.validate(make_certificate({}, &world.middle));
  ASSERT_FALSE(path.has_value());
  EXPECT_TRUE(says(path.error().message, "issued by 'C=DE, O=Example, CN=Middle'")) << path.error().message;
}

TEST(TrustStore, AnIntermediateOfOurOwnAndOneAsAnchorServeToo) {
  World world;
  const auto leaf = make_certificate({}, &world.middle);
  world.store.add_intermediate(Certificate::parse(world.middle.der).value());
  EXPECT_TRUE(world.validate(leaf).has_value());
  TrustStore anchored;
  ASSERT_TRUE(anchored.add_authority(world.middle.der).has_value());
  const auto path = anchored.validate({.leaf = leaf.der, .now = kPkiNow});
  ASSERT_TRUE(path.has_value()) << path.error().message;
  EXPECT_EQ(path->certificates.size(), 2U);
}

TEST(TrustStore, DatesAreJudgedByTheTimeGiven) {
  World world;
  CertificateOptions options;
  options.not_before = kPkiNow - kDay;
  options.not_after = kPkiNow + kDay;
  const auto leaf = make_certificate(options, &world.root);
  EXPECT_TRUE(world.validate(leaf).has_value());
  EXPECT_TRUE(says(world.validate(leaf, {}, kPkiNow + 2 * kDay).error().message, "expired on 2027-01-16 08:00:00 UTC"));
  EXPECT_TRUE(says(world.validate(leaf, {}, kPkiNow - 2 * kDay).error().message, "not valid before 2027-01-14"));
}

TEST(TrustStore, DatesAfter2038) {
  CertificateOptions authority;
  authority.subject = kRootName;
  authority.authority = true;
  authority.not_after = 4102444800;  // 2100-01-01
  const auto root = make_certificate(authority);
  CertificateOptions options;
  options.not_before = 2524608000;  // 2050-01-01: GeneralizedTime
  options.not_after = 3000000000;
  const auto leaf = make_certificate(options, &root);
  TrustStore store;
  ASSERT_TRUE(store.add_authority(root.der).has_value());
  EXPECT_TRUE(store.validate({.leaf = leaf.der, .now = 2600000000}).has_value());
  EXPECT_FALSE(store.validate({.leaf = leaf.der, .now = 3000000001}).has_value());
  EXPECT_EQ(Certificate::parse(leaf.der).value().not_after(), 3000000000);
  EXPECT_EQ(Certificate::parse(leaf.der).value().not_before(), 2524608000);
}

TEST(TrustStore, ForgedAndSelfSignedAreRefused) {
  World world;
  const auto false_root = make_authority(kRootName);  // the same name, another key
  EXPECT_FALSE(world.validate(make_certificate({}, &false_root), {false_root.der}).has_value());
  EXPECT_TRUE(says(world.validate(make_certificate({})).error().message, "signs itself and is not trusted"));
  auto damaged = make_certificate({}, &world.root);
  damaged.der.back() ^= 1U;
  EXPECT_FALSE(world.validate(damaged).has_value());
}

TEST(TrustStore, WhoIsNoAuthorityIssuesNothing) {
  World world;
  const auto leaf = make_certificate({}, &world.root);
  const auto below = make_certificate({.subject = "CN=below"}, &leaf);
  EXPECT_FALSE(world.validate(below, {leaf.der}).has_value());
}

TEST(TrustStore, PathLengthIsObeyed) {
  const auto root = make_authority(kRootName, nullptr, 0);
  const auto middle = make_authority("CN=Middle", &root);
  TrustStore store;
  ASSERT_TRUE(store.add_authority(root.der).has_value());
  const auto direct = make_certificate({}, &root);
  EXPECT_TRUE(store.validate({.leaf = direct.der, .now = kPkiNow}).has_value());
  const auto below = make_certificate({}, &middle);
  const auto refused = store.validate({.leaf = below.der, .intermediates = {middle.der}, .now = kPkiNow});
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(says(refused.error().message, "pathLenConstraint"));
}

TEST(TrustStore, AnAuthorityWhoseKeyMayNotSignCertificatesIssuesNothing) {
  CertificateOptions options;
  options.subject = kRootName;
  options.authority = true;
  options.key_usage = "cRLSign,digitalSignature";
  const auto root = make_certificate(options);
  TrustStore store;
  ASSERT_TRUE(store.add_authority(root.der).has_value());
  EXPECT_FALSE(store.validate({.leaf = make_certificate({}, &root).der, .now = kPkiNow}).has_value());
}

TEST(TrustStore, NameConstraintsAreObeyed) {
  CertificateOptions authority;
  authority.subject = kRootName;
  authority.authority = true;
  authority.more = {{"nameConstraints", "critical,permitted;DNS:example.org"}};
  const auto root = make_certificate(authority);
  TrustStore store;
  ASSERT_TRUE(store.add_authority(root.der).has_value());
  const auto inside = make_certificate({.names = "DNS:moon.example.org"}, &root);
  const auto outside = make_certificate({.names = "DNS:moon.example.com"}, &root);
  EXPECT_TRUE(store.validate({.leaf = inside.der, .now = kPkiNow}).has_value());
  const auto refused = store.validate({.leaf = outside.der, .now = kPkiNow});
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(says(refused.error().message, "nameConstraints"));
}

TEST(TrustStore, KeyUsageAndExtendedKeyUsage) {
  const World world;
  EXPECT_EQ(world.why_not({.key_usage = "digitalSignature"}), "accepted");
  EXPECT_EQ(world.why_not({.key_usage = "nonRepudiation"}), "accepted");
  EXPECT_TRUE(says(world.why_not({.key_usage = "keyEncipherment"}), "keyUsage allows neither"));
  for (const auto* usage :
       {"1.3.6.1.5.5.7.3.17", "serverAuth", "clientAuth", "anyExtendedKeyUsage", "codeSigning,serverAuth"}) {
    EXPECT_EQ(world.why_not({.extended_key_usage = usage}), "accepted") << usage;
  }
  EXPECT_TRUE(says(world.why_not({.extended_key_usage = "codeSigning"}), "extendedKeyUsage names none"));
}

TEST(TrustStore, WeakKeysAndHashesAreRefused) {
  World world;
  EXPECT_TRUE(says(world.why_not({.key = test::test_key(KeyKind::kRsa, 0, 1024)}), "1024 bits; 2048 are the least"));
  EXPECT_EQ(world.why_not({.key = test::test_key(KeyKind::kRsa)}), "accepted");
  EXPECT_TRUE(says(world.why_not({.hash = "SHA1"}), "signed with SHA-1"));
  const auto leaf = make_certificate({.key = test::test_key(KeyKind::kRsa)}, &world.root);
  EXPECT_FALSE(world.store.validate({.leaf = leaf.der, .now = kPkiNow, .least_rsa_bits = 3072}).has_value());
}

TEST(TrustStore, UnknownCriticalExtensionsAreRefused) {
  const World world;
  EXPECT_TRUE(says(world.why_not({.unknown_critical = true}), "critical extension"));
}

TEST(TrustStore, TooMuchIsRefusedByName) {
  World world;
  const auto leaf = make_certificate({}, &world.root);
  EXPECT_TRUE(world.validate(leaf, std::vector<Bytes>(16, world.middle.der)).has_value());
  EXPECT_TRUE(says(world.validate(leaf, std::vector<Bytes>(17, world.middle.der)).error().message, "more than 16"));
  EXPECT_TRUE(says(world.validate(leaf, {Bytes(65537)}).error().message, "64 KiB"));
  TestCertificate oversize{Bytes(65537), nullptr};
  EXPECT_TRUE(says(world.validate(oversize).error().message, "64 KiB"));
  // A path of eight is the longest.
  std::vector<TestCertificate> chain{world.root};
  std::vector<Bytes> sent;
  for (int i = 0; i < 7; ++i) {
    chain.push_back(make_authority("CN=Level " + std::to_string(i), &chain.back()));
    sent.push_back(chain.back().der);
  }
  EXPECT_TRUE(world.validate(make_certificate({}, &chain[6]), sent).has_value());
  EXPECT_FALSE(world.validate(make_certificate({}, &chain[7]), sent).has_value());
}

// ---- names

TEST(CertificateNames, WhatItCarries) {
  const auto made = make_certificate({.subject = "C=DE, O=Example, OU=Research, OU=VPN, CN=moon",
                                      .names = "DNS:moon.example.org,DNS:*.wild.org,IP:192.0.2.1,IP:2001:db8::1,"
                                               "email:moon@example.org"});
  const auto certificate = Certificate::parse(made.der).value();
  const auto carries = [&](const char* text) { return certificate.carries(model::Identity::parse(text).value()); };
  EXPECT_TRUE(carries("@moon.example.org"));
  EXPECT_TRUE(carries("@MOON.example.org"));
  EXPECT_FALSE(carries("@sun.wild.org")) << "wildcards are no identity of anybody";
  EXPECT_FALSE(carries("@moon"));
  EXPECT_FALSE(carries("@moon.example.or"));
  EXPECT_TRUE(carries("192.0.2.1"));
  EXPECT_TRUE(carries("2001:db8::1"));
  EXPECT_FALSE(carries("192.0.2.2"));
  EXPECT_TRUE(carries("moon@example.org"));
  const auto name = [](const char* text) {
    return model::Identity{model::IdType::kDerAsn1Dn, model::parse_distinguished_name(text).value()};
  };
  EXPECT_TRUE(certificate.carries(name("C=DE, O=example, OU=Research, OU=VPN, CN=Moon")));
  EXPECT_TRUE(certificate.carries(name("C=DE, O=Example, OU=Research, OU=VPN, CN=*")));
  EXPECT_FALSE(certificate.carries(name("C=DE, O=Example, CN=*")));
  EXPECT_EQ(certificate.organizational_units(), (std::vector<std::string>{"Research", "VPN"}));
  EXPECT_EQ(certificate.subject_text(), "C=DE, O=Example, OU=Research, OU=VPN, CN=moon");
  EXPECT_TRUE(says(certificate.names_text(), "(also moon.example.org"));
  EXPECT_TRUE(certificate.is_self_issued());
  EXPECT_FALSE(certificate.is_authority());
}

TEST(CertificateNames, DamagedBytesNeverCrash) {
  const auto made = make_certificate({.names = "DNS:moon.example.org", .extended_key_usage = "serverAuth"});
  for (std::size_t n = 0; n < made.der.size(); ++n) {
    EXPECT_FALSE(Certificate::parse(ByteView(made.der).first(n)).has_value());
    auto flipped = made.der;
    flipped[n] ^= 0xffU;
    (void)Certificate::parse(flipped);
  }
}

// ---- revocation

struct Revocation : testing::Test {
  World world;
  TestCertificate leaf = make_certificate(
      {.crl_url = "http://crl.example.org/root.crl", .ocsp_url = "http://ocsp.example.org/"}, &world.root);
  TestCertificate other = make_certificate({.subject = "CN=other"}, &world.root);

  [[nodiscard]] Path path(std::vector<Bytes> stapled = {}, std::int64_t now = kPkiNow,
                          std::vector<Bytes> crls = {}) const {
    return world.store
        .validate({.leaf = leaf.der, .crls = std::move(crls), .ocsp_responses = std::move(stapled), .now = now})
        .value();
  }
};

TEST_F(Revocation, UnknownNamesWhereToAsk) {
  const auto found = path();
  EXPECT_EQ(found.revocation, RevocationStatus::kUnknown);
  ASSERT_EQ(found.sources.size(), 2U);
  EXPECT_EQ(found.sources[0].kind, RevocationSource::Kind::kOcsp);
  EXPECT_EQ(found.sources[0].url, "http://ocsp.example.org/");
  EXPECT_FALSE(found.sources[0].ocsp_request.empty());
  EXPECT_EQ(found.sources[1].url, "http://crl.example.org/root.crl");
  world.store.add_urls(Certificate::parse(world.root.der).value().subject(), {"http://more/"}, {});
  EXPECT_EQ(path().sources.size(), 3U);
}

TEST_F(Revocation, CrlSaysGoodAndRevoked) {
  ASSERT_TRUE(world.store.add_crl(test::make_crl(world.root, {.revoked = {other.der}})).has_value());
  EXPECT_EQ(path().revocation, RevocationStatus::kGood);
  EXPECT_TRUE(path().sources.empty());
  const auto newer = test::make_crl(world.root, {.revoked = {other.der, leaf.der}, .this_update = kPkiNow - 60});
  ASSERT_TRUE(world.store.add_crl(test::to_pem("X509 CRL", newer)).has_value()) << "PEM is read too";
  EXPECT_EQ(path().revocation, RevocationStatus::kRevoked);
  EXPECT_TRUE(says(path().revocation_text, "was revoked on 2027-01-15 07:59:00 UTC"));
  // An older list does not bring it back.
  ASSERT_TRUE(world.store.add_crl(test::make_crl(world.root, {})).has_value());
  EXPECT_EQ(path().revocation, RevocationStatus::kRevoked);
}

TEST_F(Revocation, AnExpiredCrlStillRevokesButClearsNobody) {
  ASSERT_TRUE(world.store.add_crl(test::make_crl(world.root, {.revoked = {leaf.der}})).has_value());
  EXPECT_EQ(path({}, kPkiNow + 10 * kDay).revocation, RevocationStatus::kRevoked);
  World fresh;
  const auto clean = make_certificate({}, &fresh.root);
  ASSERT_TRUE(fresh.store.add_crl(test::make_crl(fresh.root, {})).has_value());
  const auto late = fresh.validate(clean, {}, kPkiNow + 10 * kDay).value();
  EXPECT_EQ(late.revocation, RevocationStatus::kUnknown);
  EXPECT_TRUE(says(late.revocation_text, "expired on 2027-01-16"));
}

TEST_F(Revocation, UnusableCrlsAreRefusedByName) {
  const auto why = [&](const test::CrlOptions& options) {
    const auto added = world.store.add_crl(test::make_crl(world.root, options));
    return added ? std::string("taken") : added.error().message;
  };
  EXPECT_TRUE(says(why({.delta = true}), "delta CRL"));
  EXPECT_TRUE(says(why({.unknown_critical = true}), "critical extension"));
  EXPECT_TRUE(says(why({.hash = "SHA1"}), "SHA-1"));
  const auto impostor = make_authority(kRootName);
  const auto forged = world.store.add_crl(test::make_crl(impostor, {}));
  ASSERT_FALSE(forged.has_value());
  EXPECT_TRUE(says(forged.error().message, "not signed by"));
  EXPECT_FALSE(world.store.add_crl(to_bytes("junk")).has_value());
}

TEST_F(Revocation, ACrlThatThePeerSentCountsForThisPathOnlyAndOnlyIfAuthentic) {
  const auto revoking = test::make_crl(world.root, {.revoked = {leaf.der}});
  EXPECT_EQ(path({}, kPkiNow, {revoking}).revocation, RevocationStatus::kRevoked);
  EXPECT_EQ(path().revocation, RevocationStatus::kUnknown);
  const auto impostor = make_authority(kRootName);
  EXPECT_EQ(path({}, kPkiNow, {test::make_crl(impostor, {})}).revocation, RevocationStatus::kUnknown);
}

TEST_F(Revocation, StapledOcsp) {
  using Status = test::OcspOptions::Status;
  const auto answer = [&](const test::OcspOptions& options) {
    return path({test::make_ocsp_response(world.root, leaf.der, options)}).revocation;
  };
  EXPECT_EQ(answer({}), RevocationStatus::kGood);
  EXPECT_EQ(answer({.status = Status::kRevoked}), RevocationStatus::kRevoked);
  EXPECT_EQ(answer({.status = Status::kUnknown}), RevocationStatus::kUnknown);
  EXPECT_EQ(answer({.next_update = kPkiNow - 3600}), RevocationStatus::kUnknown) << "too old";
  EXPECT_EQ(answer({.next_update = 0}), RevocationStatus::kGood);
  EXPECT_EQ(answer({.this_update = kPkiNow - 2 * kDay, .next_update = 0}), RevocationStatus::kUnknown);
  EXPECT_EQ(answer({.this_update = kPkiNow + 3600}), RevocationStatus::kUnknown) << "not valid yet";
  EXPECT_EQ(path({test::make_ocsp_response(world.root, other.der, {})}).revocation, RevocationStatus::kUnknown);
  EXPECT_EQ(path({to_bytes("junk")}).revocation, RevocationStatus::kUnknown);
}

TEST_F(Revocation, OcspRespondersMustBeCertifiedForIt) {
  const auto responder = make_certificate({.subject = "CN=ocsp", .extended_key_usage = "OCSPSigning"}, &world.root);
  const auto answer = [&](const TestCertificate& by) {
    return path({test::make_ocsp_response(world.root, leaf.der, {.responder = &by})});
  };
  EXPECT_EQ(answer(responder).revocation, RevocationStatus::kGood);
  EXPECT_EQ(answer(other).revocation, RevocationStatus::kUnknown) << "no OCSPSigning";
  EXPECT_TRUE(says(answer(other).revocation_text, "signed by nobody whom its issuer allows"));
  const auto impostor_root = make_authority(kRootName);
  const auto impostor = make_certificate({.subject = "CN=ocsp", .extended_key_usage = "OCSPSigning"}, &impostor_root);
  EXPECT_EQ(answer(impostor).revocation, RevocationStatus::kUnknown);
  const auto expired = make_certificate(
      {.subject = "CN=ocsp", .not_after = kPkiNow - kDay, .extended_key_usage = "OCSPSigning"}, &world.root);
  EXPECT_EQ(answer(expired).revocation, RevocationStatus::kUnknown);
}

TEST_F(Revocation, TheIntermediateCountsToo) {
  const auto below = make_certificate({}, &world.middle);
  ASSERT_TRUE(world.store.add_crl(test::make_crl(world.root, {.revoked = {world.middle.der}})).has_value());
  const auto found = world.validate(below, {world.middle.der}).value();
  EXPECT_EQ(found.revocation, RevocationStatus::kRevoked);
  EXPECT_TRUE(says(found.revocation_text, "CN=Middle was revoked"));
}

TEST_F(Revocation, AFetchedOcspResponseIsKept) {
  ASSERT_TRUE(world.store.add_ocsp_response(test::make_ocsp_response(world.root, leaf.der, {})).has_value());
  EXPECT_EQ(path().revocation, RevocationStatus::kGood);
  EXPECT_FALSE(world.store.add_ocsp_response(to_bytes("junk")).has_value());
}

}  // namespace
}  // namespace cygnet::crypto
