// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/own_status.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/http_server.h"
#include "support/test_pki.h"

namespace cygnet::daemon {
namespace {

using test::kPkiNow;

struct FakeClock final : Clock {
  [[nodiscard]] Instant monotonic() const override { return {}; }
  [[nodiscard]] std::int64_t wall_seconds() const override { return now; }
  std::int64_t now = kPkiNow;
};
struct MemoryLog final : Logger {
  void write(const LogEntry& entry) override { text += entry.message + "\n"; }
  std::string text;
};

std::string http(ByteView body) {
  std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  text.append(body.begin(), body.end());
  return text;
}

struct OwnStatusTest : testing::Test {
  io::EventLoop loop;
  FakeClock clock;
  MemoryLog log;
  test::HttpServer server{loop};
  test::TestCertificate root = test::make_authority("CN=Root");
  test::TestCertificate own = test::make_certificate({.subject = "CN=own", .ocsp_url = url("/own")}, &root);
  crypto::TrustStore paths;
  OwnStatus* status_of_cache = nullptr;
  RevocationCache cache{loop, clock, log, [](const std::string&, const auto& done) { done({}); },
                        [this](const RevocationCache::Kept*) {
                          if (status_of_cache != nullptr) status_of_cache->look();
                          loop.stop();
                        }};
  OwnStatus status{loop, clock, log, cache};
  std::map<Bytes, Bytes> given;
  int changes = 0;

  OwnStatusTest() {
    status_of_cache = &status;
    EXPECT_TRUE(paths.add_authority(root.der).has_value());
    status.on_change([this](std::map<Bytes, Bytes> responses) {
      given = std::move(responses);
      ++changes;
    });
  }
  ~OwnStatusTest() override { status_of_cache = nullptr; }
  [[nodiscard]] std::string url(const std::string& target) const {
    return "http://127.0.0.1:" + std::to_string(server.port) + target;
  }
  void run() {
    loop.restart();
    loop.run();
  }
  void begin() {
    status.use({crypto::Certificate::parse(own.der).value()}, paths);
    run();
  }
};

TEST_F(OwnStatusTest, AGoodResponseIsFetchedAndGivenUnderTheCertificatesFingerprint) {
  const auto response = test::make_ocsp_response(root, own.der, {});
  server.answers["POST /own"] = http(response);
  begin();
  EXPECT_EQ(given, (std::map<Bytes, Bytes>{{crypto::Certificate::parse(own.der)->fingerprint(), response}}));
  status.use({crypto::Certificate::parse(own.der).value()}, paths);
  EXPECT_EQ(changes, 2) << "nothing new";
  clock.now += 2 * test::kDay;
  status.look();
  EXPECT_TRUE(given.empty()) << "what has ended is given to nobody";
}

TEST_F(OwnStatusTest, ItIsRenewedBeforeItEnds) {
  server.answers["POST /own"] = http(test::make_ocsp_response(root, own.der, {.next_update = kPkiNow + 6}));
  begin();
  ASSERT_EQ(given.size(), 1U);
  const auto first = given;
  clock.now += 3;
  const auto later = test::make_ocsp_response(root, own.der, {.next_update = kPkiNow + test::kDay});
  server.answers["POST /own"] = http(later);
  run();  // its timer, then the answer
  ASSERT_EQ(given.size(), 1U) << "never without one";
  EXPECT_NE(given, first);
  EXPECT_EQ(given.begin()->second, later);
}

TEST_F(OwnStatusTest, RevokedIsToldAndNotGiven) {
  server.answers["POST /own"] =
      http(test::make_ocsp_response(root, own.der, {.status = test::OcspOptions::Status::kRevoked}));
  begin();
  EXPECT_TRUE(given.empty());
  EXPECT_NE(log.text.find("of our own certificate: CN=own was revoked"), std::string::npos) << log.text;
}

TEST_F(OwnStatusTest, WithoutAResponderNothingIsAsked) {
  own = test::make_certificate({.subject = "CN=own"}, &root);
  status.use({crypto::Certificate::parse(own.der).value()}, paths);
  EXPECT_TRUE(given.empty());
  EXPECT_TRUE(cache.list().empty());
}

TEST_F(OwnStatusTest, TheCacheIsBoundedByItsOctets) {
  const auto crl = test::make_crl(root, {});
  for (int i = 0; i < 25; ++i) {
    auto pem = test::to_pem("X509 CRL", crl);
    pem.resize(900U << 10U, ' ');  // behind the object nothing is read
    server.answers["GET /" + std::to_string(i)] = http(pem);
    (void)cache.want({{crypto::RevocationSource::Kind::kCrl, url("/" + std::to_string(i)), {}}});
    run();
  }
  std::size_t octets = 0;
  for (const auto& kept : cache.list()) octets += kept.answer.size();
  EXPECT_LE(octets, RevocationCache::kMaxOctets);
  EXPECT_EQ(std::ranges::count_if(cache.list(), [](const auto& kept) { return !kept.answer.empty(); }),
            static_cast<std::ptrdiff_t>(RevocationCache::kMaxOctets / (900U << 10U)));
}

// All others are being renewed: it is the newest that no room can be made for, and it stays.
TEST_F(OwnStatusTest, WhatIsUnderWayIsNotDroppedForTheNewest) {
  auto pem = test::to_pem("X509 CRL", test::make_crl(root, {}));
  pem.resize(1U << 20U, ' ');
  const auto source = [&](std::size_t i) {
    return crypto::RevocationSource{crypto::RevocationSource::Kind::kCrl, url("/" + std::to_string(i)), {}};
  };
  const auto others = RevocationCache::kMaxUnderWay - 1;
  for (std::size_t i = 0; i < others; ++i) {
    server.answers["GET /" + std::to_string(i)] = http(pem);
    (void)cache.want({source(i)});
    run();
  }
  server.answers.clear();  // silence
  clock.now += RevocationCache::kLongest_s;
  for (std::size_t i = 0; i < others; ++i) EXPECT_TRUE(cache.want({source(i)}));
  server.answers["GET /" + std::to_string(others)] = http(pem);
  (void)cache.want({source(others)});
  run();
  ASSERT_NE(cache.find(source(others)), nullptr);
  EXPECT_EQ(cache.find(source(others))->answer.size(), pem.size());
  EXPECT_EQ(cache.list().size(), others + 1);
}

}  // namespace
}  // namespace cygnet::daemon
