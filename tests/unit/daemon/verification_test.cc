// SPDX-License-Identifier: Apache-2.0

// Peers' signatures checked in the daemon: what is fetched about revocation, how often, and how long a peer waits.
#include "daemon/ike_role/verification.h"

#include <gtest/gtest.h>

#include <optional>

#include "crypto/private_key.h"
#include "support/http_server.h"
#include "support/test_pki.h"

namespace cygnet::daemon {
namespace {

using test::kDay;
using test::kPkiNow;

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Instant monotonic() const override { return {}; }
  [[nodiscard]] std::int64_t wall_seconds() const override { return now; }
  std::int64_t now = kPkiNow;
};

struct MemoryLog final : Logger {
  void write(const LogEntry& entry) override { lines.push_back(entry.subject + ": " + entry.message); }
  std::vector<std::string> lines;
};

std::string http(ByteView body) {
  std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  text.append(body.begin(), body.end());
  return text;
}

class Verification : public testing::Test {
 protected:
  [[nodiscard]] std::string url(const std::string& target) const {
    return "http://127.0.0.1:" + std::to_string(server.port) + target;
  }
  [[nodiscard]] test::TestCertificate leaf(const std::string& crl, const std::string& ocsp = {}) const {
    test::CertificateOptions options;
    options.crl_url = crl;
    options.ocsp_url = ocsp;
    return test::make_certificate(options, &authority);
  }
  [[nodiscard]] model::PublicCredentials credentials() const {
    model::PublicCredentials out;
    out.authorities.push_back({"ca.pem", authority.der, "/etc/cacerts/ca.pem"});
    return out;
  }
  static ike::auth::AuthJob job_of(const test::TestCertificate& certificate, std::uint64_t number) {
    const auto octets = to_bytes("signed octets");
    const auto pem = certificate.key_pem();
    const auto key = crypto::PrivateKey::load(ByteView(pem), {});
    ike::auth::SignatureVerify what;
    what.method = wire::ike::AuthMethodId::kEcdsaP256;
    what.octets = octets;
    what.presented = key->sign(crypto::SignatureScheme::kEcdsaSha256, crypto::EcdsaForm::kFixed, octets).value();
    what.certificates = {certificate.der};
    return {number, what};
  }
  ike::auth::AuthResult verify(const test::TestCertificate& certificate) {
    std::optional<ike::auth::AuthResult> out;
    verifier.verify(job_of(certificate, 7), [&](const ike::auth::AuthResult& result) {
      out = result;
      loop.stop();
    });
    loop.restart();
    loop.run();
    EXPECT_EQ(out->job, 7U);
    EXPECT_EQ(verifier.under_way(), 0U);
    return *out;
  }

  io::EventLoop loop;
  io::WorkPool pool{loop, 2};
  FakeClock clock;
  MemoryLog log;
  test::HttpServer server{loop};
  test::TestCertificate authority = test::make_authority("C=DE, O=Example, CN=Root");
  Verifier verifier{loop, pool, clock, log,
                    [](const std::string&, const std::function<void(io::HttpClient::Addresses)>& done) { done({}); }};
};

TEST_F(Verification, TrustFollowsTheConfiguration) {
  const auto certificate = leaf("");
  EXPECT_FALSE(verify(certificate).ok);
  verifier.use(credentials());
  const auto result = verify(certificate);
  EXPECT_TRUE(result.ok) << result.error;
  EXPECT_FALSE(result.facts->revocation_known);
  verifier.use({});
  EXPECT_FALSE(verify(certificate).ok);
}

TEST_F(Verification, ACrlIsFetchedOnceUntilItWantsRenewal) {
  const auto good = leaf(url("/crl"));
  const auto bad = leaf(url("/crl"));
  server.answers["GET /crl"] = http(test::make_crl(authority, {.revoked = {bad.der}}));
  verifier.use(credentials());
  const auto first = verify(good);
  EXPECT_TRUE(first.facts->revocation_known);
  EXPECT_FALSE(first.facts->revoked);
  EXPECT_TRUE(verify(bad).facts->revoked);
  // The cache outlives another configuration.
  auto more = credentials();
  more.authorities.push_back({"more.pem", test::make_authority("CN=Other").der, "more.pem"});
  verifier.use(more);
  EXPECT_TRUE(verify(bad).facts->revoked);
  EXPECT_EQ(server.requests.size(), 1U);
  clock.now = kPkiNow + kDay + 1;
  server.answers["GET /crl"] = http(test::make_crl(
      authority, {.revoked = {good.der}, .this_update = kPkiNow + kDay, .next_update = kPkiNow + 2 * kDay}));
  EXPECT_TRUE(verify(good).facts->revoked);
  EXPECT_EQ(server.requests.size(), 2U);
}

TEST_F(Verification, OcspIsAskedWithPost) {
  const auto certificate = leaf("", url("/ocsp"));
  server.answers["POST /ocsp"] =
      http(test::make_ocsp_response(authority, certificate.der, {.status = test::OcspOptions::Status::kRevoked}));
  verifier.use(credentials());
  EXPECT_TRUE(verify(certificate).facts->revoked);
  ASSERT_EQ(server.requests.size(), 1U);
  EXPECT_NE(server.requests[0].find("Content-Type: application/ocsp-request"), std::string::npos);
  EXPECT_TRUE(verify(certificate).facts->revoked);
  EXPECT_EQ(server.requests.size(), 1U);
}

TEST_F(Verification, ResponsesStandBesideEachOther) {
  const auto good = leaf("", url("/good"));
  const auto bad = leaf("", url("/bad"));
  server.answers["POST /good"] = http(test::make_ocsp_response(authority, good.der, {}));
  server.answers["POST /bad"] =
      http(test::make_ocsp_response(authority, bad.der, {.status = test::OcspOptions::Status::kRevoked}));
  verifier.use(credentials());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(verify(good).facts->revocation_known);
    EXPECT_FALSE(verify(good).facts->revoked);
    EXPECT_TRUE(verify(bad).facts->revoked);
  }
  EXPECT_EQ(server.requests.size(), 2U);
}

TEST_F(Verification, UrlsOfACaSectionCountToo) {
  const auto certificate = leaf("");
  auto with_urls = credentials();
  with_urls.authority_options.push_back({"ca", "ca.pem", {url("/of-ca")}, {}});
  server.answers["GET /of-ca"] = http(test::make_crl(authority, {.revoked = {certificate.der}}));
  verifier.use(with_urls);
  EXPECT_TRUE(verify(certificate).facts->revoked);
}

TEST_F(Verification, AFailureIsRememberedForAMinute) {
  const auto certificate = leaf(url("/missing"));
  server.answers["GET /missing"] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  verifier.use(credentials());
  EXPECT_TRUE(verify(certificate).ok);
  EXPECT_FALSE(verify(certificate).facts->revocation_known);
  EXPECT_EQ(server.requests.size(), 1U);
  ASSERT_FALSE(log.lines.empty());
  EXPECT_EQ(log.lines.back(),
            "revocation: nothing could be learned from " + url("/missing") + ": the server answers 404");
  clock.now += RevocationCache::kRetry_s;
  server.answers["GET /missing"] = http(test::make_crl(authority, {}));
  EXPECT_TRUE(verify(certificate).facts->revocation_known);
}

TEST_F(Verification, AForgedListChangesNothing) {
  const auto certificate = leaf(url("/crl"));
  const auto impostor = test::make_authority("C=DE, O=Example, CN=Root");
  server.answers["GET /crl"] = http(test::make_crl(impostor, {.revoked = {certificate.der}}));
  verifier.use(credentials());
  const auto result = verify(certificate);
  EXPECT_TRUE(result.ok);
  EXPECT_FALSE(result.facts->revoked);
  EXPECT_FALSE(result.facts->revocation_known);
  server.answers["GET /crl"] = http(to_bytes("<html>no list</html>"));
  clock.now += 2 * kDay;
  EXPECT_FALSE(verify(certificate).facts->revocation_known);
}

// By name it is of the same authority, and good for a year.
TEST_F(Verification, AForgedListTakesNothingAwayAndIsNotBelievedToBeFresh) {
  const auto certificate = leaf(url("/crl"));
  const auto other = leaf(url("/crl"));
  const auto good = http(test::make_crl(authority, {.revoked = {certificate.der}, .next_update = kPkiNow + 600}));
  server.answers["GET /crl"] = good;
  verifier.use(credentials());
  EXPECT_TRUE(verify(certificate).facts->revoked);
  clock.now += 700;
  const auto impostor = test::make_authority("C=DE, O=Example, CN=Root");
  server.answers["GET /crl"] = http(test::make_crl(impostor, {.next_update = kPkiNow + 365 * kDay}));
  EXPECT_FALSE(verify(other).facts->revocation_known);
  EXPECT_TRUE(verify(certificate).facts->revoked);
  const auto kept = verifier.fetched();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_NE(kept[0].error.find("not signed by"), std::string::npos) << kept[0].error;
  EXPECT_EQ(http(kept[0].answer), good);
  // Asked again after a minute, not after a day.
  clock.now += RevocationCache::kRetry_s;
  server.answers["GET /crl"] = http(test::make_crl(authority, {.revoked = {certificate.der}}));
  EXPECT_TRUE(verify(other).facts->revocation_known);
}

TEST_F(Verification, AnOlderListDoesNotReplaceANewerOne) {
  const auto certificate = leaf(url("/crl"));
  const auto newer = http(test::make_crl(
      authority, {.revoked = {certificate.der}, .this_update = kPkiNow - 10, .next_update = kPkiNow + 600}));
  server.answers["GET /crl"] = newer;
  verifier.use(credentials());
  EXPECT_TRUE(verify(certificate).facts->revoked);
  clock.now += 700;
  server.answers["GET /crl"] =
      http(test::make_crl(authority, {.this_update = kPkiNow - 1000, .next_update = kPkiNow + 10 * kDay}));
  EXPECT_TRUE(verify(certificate).facts->revoked);
  const auto kept = verifier.fetched();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(http(kept[0].answer), newer);
}

TEST_F(Verification, AForgedResponseIsNotKept) {
  const auto certificate = leaf("", url("/ocsp"));
  const auto impostor = test::make_authority("C=DE, O=Example, CN=Root");
  // About the certificate, with the name and key of its issuer: all of that is public. It would never be out of date.
  server.answers["POST /ocsp"] = http(test::make_ocsp_response(
      authority, certificate.der,
      {.this_update = kPkiNow - 1, .next_update = kPkiNow + 1000 * kDay, .forged_by = &impostor}));
  verifier.use(credentials());
  EXPECT_FALSE(verify(certificate).facts->revocation_known);
  EXPECT_TRUE(verifier.fetched()[0].answer.empty());
  EXPECT_NE(verifier.fetched()[0].error.find("signed by nobody"), std::string::npos) << verifier.fetched()[0].error;
  clock.now += RevocationCache::kRetry_s;
  server.answers["POST /ocsp"] =
      http(test::make_ocsp_response(authority, certificate.der, {.status = test::OcspOptions::Status::kRevoked}));
  EXPECT_TRUE(verify(certificate).facts->revoked);
}

TEST_F(Verification, AnAnswerAboutAnotherTimeIsNotKept) {
  const auto certificate = leaf("", url("/ocsp"));
  server.answers["POST /ocsp"] = http(test::make_ocsp_response(
      authority, certificate.der, {.this_update = kPkiNow + kDay, .next_update = kPkiNow + 2 * kDay}));
  verifier.use(credentials());
  EXPECT_FALSE(verify(certificate).facts->revocation_known);
  EXPECT_TRUE(verifier.fetched()[0].answer.empty());
  const auto listed = leaf(url("/crl"));
  server.answers["GET /crl"] =
      http(test::make_crl(authority, {.this_update = kPkiNow + kDay, .next_update = kPkiNow + 10 * kDay}));
  EXPECT_FALSE(verify(listed).facts->revocation_known);
  clock.now += RevocationCache::kRetry_s;
  server.answers["GET /crl"] = http(test::make_crl(authority, {.revoked = {listed.der}}));
  EXPECT_TRUE(verify(listed).facts->revoked);
}

// Another authority whom we trust names the address of the first one's list in a certificate of its own.
TEST_F(Verification, AListIsKeptForItsIssuerWhoeverNamesItsAddress) {
  const auto partner = test::make_authority("C=DE, O=Partner, CN=Root");
  auto trusted = credentials();
  trusted.authorities.push_back({"partner.pem", partner.der, "partner.pem"});
  const auto ours = leaf(url("/crl"));
  test::CertificateOptions mallory;
  mallory.subject = "C=DE, O=Partner, CN=mallory";
  mallory.crl_url = url("/crl");
  const auto theirs = test::make_certificate(mallory, &partner);
  server.answers["GET /crl"] = http(test::make_crl(authority, {.next_update = kPkiNow + 600}));
  verifier.use(trusted);
  EXPECT_TRUE(verify(ours).facts->revocation_known);
  EXPECT_FALSE(verify(theirs).facts->revocation_known);
  clock.now += 700;
  server.answers["GET /crl"] = http(
      test::make_crl(authority, {.revoked = {ours.der}, .this_update = kPkiNow + 600, .next_update = kPkiNow + kDay}));
  EXPECT_FALSE(verify(theirs).facts->revocation_known);
  EXPECT_TRUE(verify(ours).facts->revoked);
  EXPECT_EQ(verifier.fetched().size(), 2U);
}

TEST_F(Verification, OneFetchServesAllWhoWait) {
  const auto certificate = leaf(url("/crl"));
  server.answers["GET /crl"] = http(test::make_crl(authority, {}));
  verifier.use(credentials());
  unsigned done = 0;
  for (std::uint64_t i = 0; i < 20; ++i) {
    verifier.verify(job_of(certificate, i), [&](const ike::auth::AuthResult& result) {
      EXPECT_TRUE(result.facts->revocation_known);
      if (++done == 20) loop.stop();
    });
  }
  loop.restart();
  loop.run();
  EXPECT_EQ(server.requests.size(), 1U);
}

TEST_F(Verification, ASilentServerKeepsAPeerFourSeconds) {
  const auto certificate = leaf(url("/silent"));
  verifier.use(credentials());
  const auto before = std::chrono::steady_clock::now();
  const auto result = verify(certificate);
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_TRUE(result.ok);
  EXPECT_FALSE(result.facts->revocation_known);
  EXPECT_GE(took, std::chrono::milliseconds(3900));
  EXPECT_LT(took, std::chrono::seconds(8));
}

}  // namespace
}  // namespace cygnet::daemon
