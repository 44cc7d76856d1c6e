// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH with certificates (RFC 7296 sections 2.15, 3.6 and 3.7, RFC 4945): who is believed, who is not, and why.
#include "crypto/certificate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/certificate_world.h"

namespace cygnet::test {
namespace {

using crypto::KeyKind;

// The request is small, the answer with its certificate is not: who answers cannot know that it got lost, but that it
// is asked for again and again (RFC 7383 section 2.5.2).
TEST(CertificateAndSecret, AnAnswerTooLargeForThePathComesInSmallerPieces) {
  World w;
  w.of_a.local.auth = w.of_b.remote.auth = model::AuthMethod::kPsk;
  w.of_a.fragmentation = w.of_b.fragmentation = model::Fragmentation::kYes;
  w.e.on_wire = [](const Flight& flight) { return flight.bytes.size() <= 576 - 28; };
  w.run();
  EXPECT_TRUE(w.e.a().done.empty());
  w.e.advance_and_run(10s);
  EXPECT_TRUE(contains(w.e.b().messages("smaller-fragments"), "asks again for a large IKE_AUTH response"));
  w.e.expect_tunnel();
}

struct KindCase {
  const char* name;
  KeyKind kind;
  unsigned rsa_bits;
  const char* words;
};
class EveryCertificate : public testing::TestWithParam<KindCase> {};

TEST_P(EveryCertificate, ProvesWhoItIs) {
  World w(GetParam().kind, GetParam().rsa_bits);
  w.expect_up();
  const std::string end = ", certificate by 'C=DE, O=Example, CN=Root' valid until 2028-01-15 08:00:00 UTC";
  EXPECT_TRUE(contains(w.e.a().messages("ike-up"), std::string("authenticated peer as 'b.test' with ") +
                                                       GetParam().words + ", C=DE, O=Example, OU=VPN, CN=b.test" + end))
      << w.e.a().messages("ike-up");
  EXPECT_TRUE(contains(w.e.b().messages("ike-up"), std::string("authenticated peer as 'a.test' with ") +
                                                       GetParam().words + ", C=DE, O=Example, OU=VPN, CN=a.test" + end))
      << w.e.b().messages("ike-up");
}
INSTANTIATE_TEST_SUITE_P(Certificates, EveryCertificate,
                         testing::Values(KindCase{"Rsa2048", KeyKind::kRsa, 2048, "RSASSA-PSS with SHA2-256, RSA 2048"},
                                         KindCase{"Rsa3072", KeyKind::kRsa, 3072, "RSASSA-PSS with SHA2-256, RSA 3072"},
                                         KindCase{"P256", KeyKind::kEcdsaP256, 0, "ECDSA with SHA2-256, ECDSA P-256"},
                                         KindCase{"P384", KeyKind::kEcdsaP384, 0, "ECDSA with SHA2-384, ECDSA P-384"},
                                         KindCase{"P521", KeyKind::kEcdsaP521, 0, "ECDSA with SHA2-512, ECDSA P-521"},
                                         KindCase{"Ed25519", KeyKind::kEd25519, 0, "Ed25519"},
                                         KindCase{"Ed448", KeyKind::kEd448, 0, "Ed448"}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(Certificates, TheExchange) {
  World w;
  w.load();
  w.e.initiate(w.e.a());
  const std::string hashes = " N(SIGNATURE_HASH_ALGORITHMS)";
  w.e.expect({"A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat + hashes,
              "A <- B IKE_SA_INIT response 0: SA KE Nr CERTREQ CERTREQ " + kNat + hashes,
              "A -> B IKE_AUTH request 1: IDi CERT CERTREQ CERTREQ N(INITIAL_CONTACT) IDr AUTH SA TSi TSr",
              "A <- B IKE_AUTH response 1: IDr CERT AUTH SA TSi TSr"});
  w.e.expect_tunnel();
}

TEST(Certificates, DifferentMethodsEachWay) {
  World w;
  w.of_a.remote.auth = w.of_b.local.auth = model::AuthMethod::kPsk;
  w.of_b.local.certificate.clear();
  w.expect_up();
  EXPECT_TRUE(contains(w.e.a().messages("ike-up"), "'b.test' with pre-shared key")) << w.e.a().messages("ike-up");
  EXPECT_TRUE(contains(w.e.b().messages("ike-up"), "'a.test' with Ed25519")) << w.e.b().messages("ike-up");
}

TEST(Certificates, ChainThroughAnIntermediate) {
  World w;
  const auto middle = make_authority("C=DE, O=Example, CN=Middle", &w.root);
  w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, middle);
  w.a.above = {middle.der};
  const auto arrows = w.run();
  EXPECT_EQ(std::count_if(
                arrows.begin(), arrows.end(),
                [](const auto& arrow) { return contains(arrow, "IKE_AUTH request 1: IDi CERT CERT CERTREQ CERTREQ"); }),
            1);
  w.e.expect_tunnel();
  EXPECT_TRUE(contains(w.e.b().messages("ike-up"), "certificate by 'C=DE, O=Example, CN=Middle'"));
}

TEST(Certificates, AMissingIntermediateIsNamed) {
  World w;
  const auto middle = make_authority("C=DE, O=Example, CN=Middle", &w.root);
  w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, middle);
  w.expect_refused_by_b("auth-failed", "C=DE, O=Example, CN=Middle");
}

TEST(Certificates, AStrangeAuthorityIsNamed) {
  World w;
  const auto other = make_authority("C=FR, O=Elsewhere, CN=Other Root");
  w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, other);
  w.a.anchors.push_back(other.der);
  w.expect_refused_by_b("auth-failed", "C=FR, O=Elsewhere, CN=Other Root");
  EXPECT_TRUE(contains(w.e.a().messages("auth-refused"),
                       "look whether the peer trusts 'C=FR, O=Elsewhere, CN=Other Root', the authority of our "
                       "certificate C=DE, O=Example, OU=VPN, CN=a.test (also a.test) (valid until 2028-01-15"))
      << w.e.a().messages("auth-refused");
  // A could have known: B's CERTREQ does not list it.
  EXPECT_TRUE(contains(w.e.a().messages("authority-not-asked-for"), "C=FR, O=Elsewhere, CN=Other Root"));
}

TEST(Certificates, TheResponderIsCheckedAsWell) {
  World w;
  const auto other = make_authority("C=FR, O=Elsewhere, CN=Other Root");
  w.b.own = World::issue("b.test", {.key = test_key(KeyKind::kEd25519, 2)}, other);
  w.expect_refused_by_a("auth-failed", "C=FR, O=Elsewhere, CN=Other Root");
  w.e.expect_nothing_left();
}

TEST(Certificates, DatesCount) {
  {
    World w;
    w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1), .not_after = kPkiNow - kDay}, w.root);
    w.expect_refused_by_b("auth-failed", "expired on 2027-01-14 08:00:00 UTC");
  }
  {
    World w;
    w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1), .not_before = kPkiNow + kDay}, w.root);
    w.expect_refused_by_b("auth-failed", "is not valid before 2027-01-16 08:00:00 UTC");
  }
}

TEST(Certificates, TheIdentityMustStandInTheCertificate) {
  World w;
  w.a.own =
      World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1), .names = "DNS:c.test,IP:192.0.2.77"}, w.root);
  w.expect_refused_by_b("not-authorized",
                        "does not carry 'a.test'; it names C=DE, O=Example, OU=VPN, CN=a.test (also c.test, "
                        "192.0.2.77)");
  // Whoever loads such a pair hears of it at once.
  EXPECT_TRUE(contains(w.e.a().messages("own-identity-not-in-certificate"), "shows 'a.test'"));
  EXPECT_TRUE(contains(w.e.a().messages("own-identity-not-in-certificate"), "c.test"));
  EXPECT_FALSE(w.e.b().reported("own-identity-not-in-certificate"));
}

TEST(Certificates, ANameOfTheHostInTheSubjectIsNoIdentity) {
  World w;
  w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1), .names = "DNS:*.test"}, w.root);
  w.expect_refused_by_b("not-authorized", "does not carry 'a.test'");
}

TEST(Certificates, TheSubjectIsTheUsualIdentity) {
  World w;
  w.of_a.local.id.reset();
  w.of_b.remote.id = model::Identity::parse("C=DE, O=Example, OU=VPN, CN=*");
  w.expect_up();
  EXPECT_TRUE(contains(w.e.b().messages("ike-up"), "peer as 'C=DE, O=Example, OU=VPN, CN=a.test' with"))
      << w.e.b().messages("ike-up");
}

TEST(Certificates, TheResponderShowsTheNameItIsAskedFor) {
  World w;
  w.of_b.local.id.reset();
  w.expect_up();  // A asks for b.test, which B's certificate carries
  EXPECT_TRUE(contains(w.e.a().messages("ike-up"), "peer as 'b.test' with")) << w.e.a().messages("ike-up");
  World subject;
  subject.of_b.local.id.reset();
  subject.of_a.remote.id.reset();
  subject.of_a.remote.id_any = true;
  subject.expect_up();  // A asks for nobody
  EXPECT_TRUE(contains(subject.e.a().messages("ike-up"), "peer as 'C=DE, O=Example, OU=VPN, CN=b.test' with"));
  World stranger;
  stranger.of_b.local.id.reset();
  stranger.of_a.remote.id = model::Identity::parse("@c.test");
  stranger.expect_refused_by_b("identity-unknown", "which asks for 'c.test'");
  World written;  // who says who he is, is nobody else
  written.of_b.local.id = model::Identity::parse("C=DE, O=Example, OU=VPN, CN=b.test");
  written.expect_refused_by_b("identity-unknown", "which asks for 'b.test'");
}

TEST(Certificates, APeerThatIsNamedIsKnownByThatName) {
  World w;
  w.of_a.remote.id.reset();
  w.of_a.remote.host = {
      .kind = model::HostSpec::Kind::kName, .address = address("198.51.100.1"), .name = "b.test", .resolved = true};
  w.expect_up();
  EXPECT_TRUE(contains(w.e.a().messages("ike-up"), "peer as 'b.test' with")) << w.e.a().messages("ike-up");
}

TEST(Certificates, APeerCannotCallItselfAPattern) {
  World w;
  w.of_a.local.id = model::Identity::parse("C=DE, O=Example, OU=VPN, CN=*");
  w.of_b.remote.id.reset();
  w.of_b.remote.id_any = true;
  w.expect_refused_by_b("identity-unknown", "CN=*");
}

TEST(Certificates, AnyIdentityThatTheCertificateCarries) {
  World w;
  w.of_b.remote.id.reset();
  w.of_b.remote.id_any = true;
  w.expect_up();
  World other;
  other.of_b.remote.id.reset();
  other.of_b.remote.id_any = true;
  other.of_a.local.id = model::Identity::parse("@root.test");
  other.expect_refused_by_b("not-authorized", "does not carry 'root.test'");
}

TEST(Certificates, RevocationAsTheConnectionWantsIt) {
  const auto with = [](model::Revocation rule, bool listed, bool revoked) {
    auto w = std::make_unique<World>();
    if (listed) {
      CrlOptions options;
      if (revoked) options.revoked = {w->a.own.der};
      w->b.crls = {make_crl(w->root, options)};
    }
    w->of_b.remote.revocation = rule;
    return w;
  };
  using enum model::Revocation;
  with(kRelaxed, true, true)->expect_refused_by_b("not-authorized", "its certificate is revoked:");
  with(kStrict, true, true)->expect_refused_by_b("not-authorized", "its certificate is revoked:");
  with(kIgnore, true, true)->expect_up();
  with(kStrict, false, false)->expect_refused_by_b("not-authorized", "insists on it (revocation=strict)");
  with(kStrict, true, false)->expect_up();
  with(kRelaxed, false, false)->expect_up();
}

TEST(Certificates, TheCertificateMustBeForIt) {
  World w;
  w.a.own = World::issue("a.test",
                         {.key = test_key(KeyKind::kEd25519, 1), .extended_key_usage = "critical,codeSigning"}, w.root);
  w.expect_refused_by_b("auth-failed", "is not for IKE");
}

TEST(Certificates, TheAuthorityThatTheConnectionNames) {
  for (const bool right : {true, false}) {
    World w;
    const auto other = make_authority("C=DE, O=Example, CN=Guests");
    w.b.anchors.push_back(other.der);
    w.of_b.remote.authority = model::Identity::parse(right ? kRoot : "C=DE, O=Example, CN=Guests");
    if (right) {
      w.expect_up();
    } else {
      w.expect_refused_by_b("not-authorized",
                            "must come from 'C=DE, O=Example, CN=Guests' (rightca=); it is 'C=DE, O=Example, CN=Root'");
    }
  }
}

// Another authority that is trusted here gives an intermediate one the wanted name.
TEST(Certificates, ANameThatAnotherAuthorityGaveAwayIsNotThatAuthority) {
  for (const bool same : {true, false}) {
    World w;
    const auto other = make_authority("C=DE, O=Example, CN=Guests");
    const auto false_root = make_certificate({.subject = kRoot, .authority = true}, &other);
    w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, false_root);
    w.a.above = {false_root.der};
    w.b.anchors.push_back(other.der);
    if (same) {
      w.of_b.remote.same_authority = true;
    } else {
      w.of_b.remote.authority = model::Identity::parse(kRoot);
    }
    w.expect_refused_by_b("not-authorized", same ? "the authority of ours" : "calls itself so, and is not known here");
  }
}

TEST(Certificates, TheSameAuthorityAsOurs) {
  for (const bool same : {true, false}) {
    World w;
    const auto other = make_authority("C=DE, O=Example, CN=Guests");
    w.b.anchors.push_back(other.der);
    if (!same) w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, other);
    w.of_b.remote.same_authority = true;
    if (same) {
      w.expect_up();
    } else {
      w.expect_refused_by_b("not-authorized", "the authority of ours, 'C=DE, O=Example, CN=Root' (rightca=%same)");
    }
  }
}

TEST(Certificates, TheGroupThatTheConnectionNames) {
  World w;
  w.of_b.remote.groups = {"Sales", "VPN"};
  w.expect_up();
  World other;
  other.of_b.remote.groups = {"Sales", "Admin"};
  other.expect_refused_by_b("not-authorized", "units 'Sales', 'Admin' (rightgroups=); it names 'VPN'");
}

TEST(Certificates, APinnedCertificateNeedsNoAuthority) {
  for (const auto send : {model::SendCertificate::kAlways, model::SendCertificate::kNever}) {
    World w;
    w.b.anchors.clear();
    w.b.pinned = {w.a.own.der};
    w.of_b.remote.certificate = "peer";
    w.of_a.local.send_certificate = send;
    w.expect_up();
  }
}

TEST(Certificates, APinnedCertificateIsTheOnlyOne) {
  World w;
  w.b.pinned = {World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 3)}, w.root).der};
  w.of_b.remote.certificate = "peer";
  w.expect_refused_by_b("not-authorized", "the peer signed with another key than that of rightcert='peer'");
}

TEST(Certificates, APinnedCertificateGivesThePeerItsName) {
  World w;
  w.b.pinned = {w.a.own.der};
  w.of_b.remote.certificate = "peer";
  w.of_b.remote.id.reset();
  w.of_a.local.id.reset();
  w.expect_up();
  World other;
  other.b.pinned = {other.a.own.der};
  other.of_b.remote.certificate = "peer";
  other.of_b.remote.id.reset();
  other.expect_refused_by_b("identity-unknown", "a.test");
}

TEST(Certificates, APinnedOneThatIsRevokedIsRefusedEvenUnsent) {
  World w;
  w.b.pinned = {w.a.own.der};
  w.of_b.remote.certificate = "peer";
  w.of_a.local.send_certificate = model::SendCertificate::kNever;
  CrlOptions options;
  options.revoked = {w.a.own.der};
  w.b.crls = {make_crl(w.root, options)};
  w.expect_refused_by_b("not-authorized", "its certificate is revoked:");
}

TEST(Certificates, SentIfAsked) {
  World w;
  w.of_a.local.send_certificate = model::SendCertificate::kIfAsked;
  w.expect_up();
  World other;
  other.of_a.local.send_certificate = model::SendCertificate::kIfAsked;
  other.b.anchors.clear();  // nobody asks
  other.expect_refused_by_b("auth-failed", "the peer sent no certificate");
}

TEST(Certificates, WithoutThePrivateKeyThereIsNoProof) {
  World w;
  w.load();
  w.e.a().configure(w.e.now(), {w.of_a}, {}, w.a.credentials(), {w.b.key()});
  w.e.initiate(w.e.a());
  w.e.run();
  EXPECT_TRUE(contains(last_done(w.e.a()).message, "no private key")) << last_done(w.e.a()).message;
}

TEST(Certificates, AnotherKeyBehindTheCertificateIsNoticed) {
  World w;
  w.load();
  w.e.initiate(w.e.a());
  w.e.deliver("IKE_SA_INIT request");
  w.e.deliver("IKE_SA_INIT response");
  const auto request = w.e.drop("IKE_AUTH request");
  // B's certificate in the place of A's: the signature does not fit.
  auto payloads = request.decoded.payloads;
  for (auto& payload : payloads) {
    if (auto* cert = std::get_if<wire::ike::CertPayload>(&payload)) cert->data = w.b.own.der;
  }
  const auto forged = w.e.a().keys().seal(request.decoded.header, payloads);
  ASSERT_TRUE(forged);
  w.e.inject(w.e.b(), request.path, *forged);
  w.e.run();
  EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "the peer's signature is wrong"))
      << w.e.b().messages("auth-failed");
  EXPECT_TRUE(w.e.b().ike_ups.empty());
}

// RFC 7296 section 3.6: "Hash and URL of X.509 certificate": followed for nobody.
TEST(Certificates, AUrlInsteadOfTheCertificateIsNotFollowed) {
  World w;
  w.load();
  w.e.initiate(w.e.a());
  w.e.deliver("IKE_SA_INIT request");
  w.e.deliver("IKE_SA_INIT response");
  const auto request = w.e.drop("IKE_AUTH request");
  auto payloads = request.decoded.payloads;
  for (auto& payload : payloads) {
    if (auto* cert = std::get_if<wire::ike::CertPayload>(&payload)) {
      cert->encoding = 12;
      cert->data.assign(20, 7);
      append(cert->data, to_bytes("http://evil.test/\x1b[2J"));
    }
  }
  const auto forged = w.e.a().keys().seal(request.decoded.header, payloads);
  ASSERT_TRUE(forged);
  w.e.inject(w.e.b(), request.path, *forged);
  w.e.run();
  EXPECT_TRUE(contains(w.e.b().messages("certificate-url-ignored"), "(http://evil.test/?[2J)"))
      << w.e.b().messages("certificate-url-ignored");
  EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "the peer sent no certificate"))
      << w.e.b().messages("auth-failed");
  EXPECT_TRUE(w.e.b().ike_ups.empty());
}

// RFC 4806 section 3.2: OCSP responses ride in CERT payloads; RFC 7296 section 3.6: so do CRLs.
TEST(Certificates, WhatThePeerBringsAboutRevocationCounts) {
  for (const std::uint8_t encoding : {std::uint8_t{14}, std::uint8_t{7}}) {
    World w;
    w.of_b.remote.revocation = model::Revocation::kStrict;
    w.load();
    w.e.initiate(w.e.a());
    w.e.deliver("IKE_SA_INIT request");
    w.e.deliver("IKE_SA_INIT response");
    const auto request = w.e.drop("IKE_AUTH request");
    auto payloads = request.decoded.payloads;
    payloads.emplace_back(wire::ike::CertPayload{
        encoding, encoding == 14 ? make_ocsp_response(w.root, w.a.own.der, {}) : make_crl(w.root, {})});
    const auto more = w.e.a().keys().seal(request.decoded.header, payloads);
    ASSERT_TRUE(more);
    w.e.inject(w.e.b(), request.path, *more);
    w.e.run();
    EXPECT_TRUE(w.e.b().reported("ike-up")) << int{encoding} << w.e.b().messages("not-authorized");
  }
}

TEST(Certificates, BrokenOnesAreReportedWhenLoaded) {
  World w;
  w.a.own.der.pop_back();
  w.run();
  EXPECT_TRUE(contains(w.e.a().messages("credential-unusable"),
                       "the certificate 'own.pem' (/etc/ipsec.d/certs/own.pem) cannot be used"))
      << w.e.a().messages("credential-unusable");
  EXPECT_TRUE(contains(last_done(w.e.a()).message, "no certificate or public key of ours is loaded"))
      << last_done(w.e.a()).message;
}

TEST(Certificates, ALargePileOfThemIsRefused) {
  World w;
  w.load();
  w.e.initiate(w.e.a());
  w.e.deliver("IKE_SA_INIT request");
  w.e.deliver("IKE_SA_INIT response");
  const auto request = w.e.drop("IKE_AUTH request");
  auto payloads = request.decoded.payloads;
  for (int i = 0; i < 20; ++i) payloads.emplace_back(wire::ike::CertPayload{4, w.b.own.der});
  const auto pile = w.e.a().keys().seal(request.decoded.header, payloads);
  ASSERT_TRUE(pile);
  w.e.inject(w.e.b(), request.path, *pile);
  w.e.run();
  EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "20 intermediate certificates"))
      << w.e.b().messages("auth-failed");
}

// Two connections, two authorities: what one of them lets in does not come through the other.
TEST(Certificates, OneConnectionsRulesAreNotAnothers) {
  World w;
  const auto guests = make_authority("C=DE, O=Example, CN=Guests");
  w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, guests);
  w.b.anchors.push_back(guests.der);
  w.of_b.remote.authority = model::Identity::parse(kRoot);  // staff: 10.1.0.0/16 === 10.2.0.0/16
  w.load();
  auto guest = w.of_b;
  guest.name = "guest";
  guest.remote.authority = model::Identity::parse("C=DE, O=Example, CN=Guests");
  guest.children = {child("guest", "10.9.0.0/16", "10.1.0.0/16")};
  w.e.b().configure(w.e.now(), {w.of_b, guest}, {}, w.b.credentials(), {w.b.key()});
  w.e.initiate(w.e.a());
  w.e.run();
  // The guest is known as a guest; the staff's network stays shut.
  EXPECT_TRUE(w.e.b().reported("ike-up"));
  EXPECT_TRUE(contains(w.e.b().messages("ts-unacceptable"), "10.2.0.0/16")) << w.e.b().messages("ts-unacceptable");
  EXPECT_TRUE(w.e.b().child_ups.empty());
  EXPECT_FALSE(last_done(w.e.a()).ok);
}

// What is asked of a peer whom nobody knows yet: all that some connection for its address wants.
TEST(Certificates, AConnectionWithASecretDoesNotHideTheOneWithCertificates) {
  World w;
  w.load();
  auto other = mirrored(tunnel("other"));
  other.remote.id = model::Identity::parse("@c.test");
  other.children = {child("other", "10.8.0.0/16", "10.9.0.0/16")};
  w.e.b().configure(w.e.now(), {other, w.of_b}, {secret("s3cret")}, w.b.credentials(), {w.b.key()});
  w.e.initiate(w.e.a());
  w.e.run();
  EXPECT_TRUE(last_done(w.e.a()).ok) << last_done(w.e.a()).message;
  w.e.expect_tunnel();
}

// The answer to IKE_SA_INIT goes to anybody: it must not grow with what is trusted here.
TEST(Certificates, AFewAuthoritiesAreNamedToStrangersTheWantedOnesFirst) {
  World w;
  const auto wanted = make_authority("C=DE, O=Example, CN=Wanted");
  for (int i = 0; i < 30; ++i) w.b.anchors.push_back(make_authority("C=DE, CN=Other " + std::to_string(i)).der);
  w.b.anchors.push_back(wanted.der);
  w.of_b.remote.authority = model::Identity::parse("C=DE, O=Example, CN=Wanted");
  w.load();
  w.e.initiate(w.e.a());
  w.e.deliver("IKE_SA_INIT request");
  const auto answer = w.e.drop("IKE_SA_INIT response");
  const auto* request = wire::ike::find_payload<wire::ike::CertReqPayload>(answer.decoded.payloads);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->encoding, 4);
  ASSERT_EQ(request->authorities.size(), 400U);
  const auto hash = crypto::Certificate::parse(wanted.der)->public_key().authority_hash();
  EXPECT_TRUE(std::equal(hash.begin(), hash.end(), request->authorities.begin()));
}

}  // namespace
}  // namespace cygnet::test
