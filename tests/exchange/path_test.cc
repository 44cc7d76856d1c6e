// SPDX-License-Identifier: Apache-2.0
// What comes along with certificates: the state of revocation, paths that are too long or lead nowhere, clocks.
#include <algorithm>

#include "exchange/certificate_world.h"

namespace cygnet::test {
namespace {

using crypto::KeyKind;

// RFC 4806: each end has fetched the response about its own certificate, and the other asks nobody.
TEST(CertificatePaths, BothEndsBringTheStatusOfTheirOwn) {
  for (const bool asked : {true, false}) {
    World w;
    if (asked) {
      w.of_a.remote.revocation = w.of_b.remote.revocation = model::Revocation::kStrict;
    } else {
      w.of_a.remote.revocation = w.of_b.remote.revocation = model::Revocation::kIgnore;
    }
    w.load();
    const auto staple = [&](auto& side, const test::TestCertificate& own) {
      const auto fingerprint = crypto::Certificate::parse(own.der)->fingerprint();
      side.endpoint().use_status_responses(
          {{fingerprint, make_ocsp_response(w.root, own.der, {})}, {Bytes(32, 7), to_bytes("of another certificate")}});
    };
    staple(w.e.a(), w.a.own);
    staple(w.e.b(), w.b.own);
    const auto pass_on = [&](std::string_view part) {
      const auto message = w.e.drop(part);
      w.e.inject(message);
      return std::ranges::count_if(message.decoded.payloads, [](const auto& payload) {
        const auto* cert = std::get_if<wire::ike::CertPayload>(&payload);
        return cert != nullptr && cert->encoding == 14;
      });
    };
    w.e.initiate(w.e.a());
    w.e.deliver("IKE_SA_INIT request");
    w.e.deliver("IKE_SA_INIT response");
    EXPECT_EQ(pass_on("IKE_AUTH request"), asked ? 1 : 0);
    EXPECT_EQ(pass_on("IKE_AUTH response"), asked ? 1 : 0);
    w.e.run();
    EXPECT_TRUE(w.e.a().reported("ike-up") && w.e.b().reported("ike-up"))
        << w.e.a().messages("not-authorized") << w.e.b().messages("not-authorized");
  }
}

// The longest that is followed is eight; what a peer piles up beyond it is no more than refused.
TEST(CertificatePaths, APathOfTenIsRefusedByNameOneOfEightIsTaken) {
  for (const int authorities : {7, 9}) {
    World w;
    std::vector<TestCertificate> chain{w.root};
    for (int i = 1; i < authorities; ++i)
      chain.push_back(make_authority("C=DE, O=Example, CN=Level " + std::to_string(i), &chain.back()));
    w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, chain.back());
    for (std::size_t i = chain.size() - 1; i > 0; --i) w.a.above.push_back(chain[i].der);
    if (authorities == 7) {
      w.expect_up();
    } else {
      w.run();
      EXPECT_FALSE(last_done(w.e.a()).ok);
      EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "the certificate '")) << w.e.b().messages("auth-failed");
      EXPECT_TRUE(w.e.b().ike_ups.empty());
    }
  }
}

// 250 names, some 9000 octets in pieces, are taken. 300, and a message filled up with octets that are no certificate,
// are refused by name, and nothing is kept of them.
TEST(CertificatePaths, AHugeCertificateIsTakenAsFarAsItMakesSense) {
  const auto with_names = [](const World& w, int count) {
    std::string names = "DNS:a.test";
    for (int i = 1; i < count; ++i) names += ",DNS:host-number-" + std::to_string(1000 + i) + ".example.org";
    return World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1), .names = names}, w.root);
  };
  {
    World w;
    w.of_a.fragmentation = w.of_b.fragmentation = model::Fragmentation::kYes;
    w.a.own = with_names(w, 250);
    ASSERT_GT(w.a.own.der.size(), 7000U);
    w.expect_up();
  }
  for (const bool garbage : {false, true}) {
    World w;
    w.load();
    w.e.initiate(w.e.a());
    w.e.deliver("IKE_SA_INIT request");
    w.e.deliver("IKE_SA_INIT response");
    const auto request = w.e.drop("IKE_AUTH request");
    auto payloads = request.decoded.payloads;
    const Bytes huge = garbage ? Bytes(60000, 0x30) : with_names(w, 300).der;
    for (auto& payload : payloads)
      if (auto* cert = std::get_if<wire::ike::CertPayload>(&payload)) cert->data = huge;
    const auto sealed = w.e.a().keys().seal(request.decoded.header, payloads);
    ASSERT_TRUE(sealed);
    w.e.inject(w.e.b(), request.path, *sealed);
    w.e.run();
    const auto said = w.e.b().messages("auth-failed");
    EXPECT_TRUE(contains(said, garbage ? "certificate" : "more than 256 alternative names")) << said;
    EXPECT_LT(said.size(), 1000U);
    EXPECT_TRUE(w.e.b().ike_ups.empty());
    w.e.advance_and_run(60s);
    EXPECT_TRUE(w.e.b().endpoint().status().empty());
    EXPECT_EQ(w.e.b().endpoint().counters().half_open, 0U);
  }
}

// Two authorities that certify each other, and none that is trusted: the search ends.
TEST(CertificatePaths, ALoopOfAuthoritiesLeadsNowhere) {
  World w;
  const auto one = make_authority("C=DE, O=Loop, CN=One");
  const auto two = make_authority("C=DE, O=Loop, CN=Two", &one);
  const auto again = make_certificate({.subject = "C=DE, O=Loop, CN=One", .key = one.key, .authority = true}, &two);
  w.a.own = World::issue("a.test", {.key = test_key(KeyKind::kEd25519, 1)}, one);
  w.a.above = {again.der, two.der};
  w.run();
  EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "of whom there is no certificate"))
      << w.e.b().messages("auth-failed");
  EXPECT_TRUE(w.e.b().ike_ups.empty());
}

// A machine that wakes up with a wrong clock refuses what is not valid yet, and takes it when the clock is right.
TEST(CertificatePaths, NotYetValidUntilTheClockIsSet) {
  World w;
  w.e.b().wall_wrong_s = -60 * kDay;
  w.run();
  EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "is not valid before")) << w.e.b().messages("auth-failed");
  EXPECT_TRUE(contains(w.e.b().messages("auth-failed"), "look at the clocks of both ends"));
  EXPECT_TRUE(w.e.b().ike_ups.empty());
  w.e.b().wall_wrong_s = 0;
  w.e.initiate(w.e.a());
  w.e.run();
  EXPECT_TRUE(last_done(w.e.a()).ok) << last_done(w.e.a()).message;
  w.e.expect_tunnel();
  // What is up stays up when the clock jumps: dates are looked at when somebody proves who he is.
  w.e.b().wall_wrong_s = 3650 * kDay;
  EXPECT_TRUE(w.e.packet(w.e.a(), w.e.b()));
}

}  // namespace
}  // namespace cygnet::test
