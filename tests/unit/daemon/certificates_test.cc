// SPDX-License-Identifier: Apache-2.0

// What `cygnet certs` and the log say about certificates.
#include "daemon/ike_role/certificates.h"

#include <gtest/gtest.h>

#include "crypto/public_key.h"
#include "daemon/keys_role/key_messages.h"
#include "support/test_pki.h"

namespace cygnet::daemon {
namespace {

using test::kDay;
using test::kPkiNow;

class Certificates : public testing::Test {
 protected:
  [[nodiscard]] control::CertsReport report() const {
    return report_certificates({credentials, connections, fetched, held_known ? &held : nullptr, kPkiNow});
  }
  void add(const std::string& name, std::int64_t not_after, const std::string& connection) {
    test::CertificateOptions options;
    options.subject = "CN=" + name;
    options.names = "DNS:" + name + ".example.org,IP:192.0.2.1";
    options.not_after = not_after;
    options.serial = 0x1234;
    last = test::make_certificate(options, &authority);
    credentials.certificates.push_back({name + ".pem", last.der, "/etc/cygnet/certs/" + name + ".pem"});
    model::Connection one;
    one.name = connection;
    one.local.certificate = name + ".pem";
    connections.push_back(one);
  }
  [[nodiscard]] std::vector<std::string> warnings() const {
    std::vector<std::string> out;
    for (const auto& entry : certificate_warnings(report()))
      out.push_back(std::string(to_string(entry.severity)) + " " + entry.message.substr(0, entry.message.find(": ")));
    return out;
  }

  test::TestCertificate authority = test::make_authority("CN=Root");
  test::TestCertificate last;
  model::PublicCredentials credentials;
  std::vector<model::Connection> connections;
  std::vector<RevocationCache::Kept> fetched;
  std::set<Bytes> held;
  bool held_known = true;
};

TEST_F(Certificates, EachIsDescribedWithItsUse) {
  add("moon", kPkiNow + 365 * kDay, "office");
  credentials.authorities.push_back({"root.pem", authority.der, "/etc/cygnet/cacerts/root.pem"});
  credentials.authorities.push_back({"leaf.pem", last.der, "/etc/cygnet/cacerts/leaf.pem"});
  credentials.certificates.push_back({"bad.pem", {0x30, 0x00}, "/etc/cygnet/certs/bad.pem"});
  credentials.crls.push_back({"root.crl", test::make_crl(authority, {}), "/etc/cygnet/crls/root.crl"});
  fetched.push_back({"http://crl/x", crypto::RevocationSource::Kind::kCrl, {}, 0, "the server answers 404"});
  held.insert(crypto::PublicKey::from_spki(test::key_to_spki(last.key.get()))->key_id());
  const auto all = report();
  ASSERT_EQ(all.certificates.size(), 2U);
  const auto& moon = all.certificates[0];
  EXPECT_EQ(moon.subject, "CN=moon");
  EXPECT_EQ(moon.issuer, "CN=Root");
  EXPECT_EQ(moon.serial, "1234");
  EXPECT_EQ(moon.key, "ECDSA P-256");
  EXPECT_EQ(moon.names, (std::vector<std::string>{"moon.example.org", "192.0.2.1"}));
  EXPECT_EQ(moon.expires_in_s, 365 * kDay);
  EXPECT_TRUE(moon.own);
  EXPECT_EQ(moon.private_key, true);
  EXPECT_EQ(moon.connections, (std::vector<std::string>{"office"}));
  EXPECT_EQ(moon.fault, "");
  EXPECT_NE(all.certificates[1].fault, "");
  ASSERT_EQ(all.authorities.size(), 2U);
  EXPECT_EQ(all.authorities[0].fault, "");
  EXPECT_EQ(all.authorities[1].fault, "it is no authority (basicConstraints): only itself is trusted");
  ASSERT_EQ(all.crls.size(), 2U);
  EXPECT_EQ(all.crls[0].issuer, "CN=Root");
  EXPECT_EQ(all.crls[0].good_until, kPkiNow + kDay);
  EXPECT_EQ(all.crls[1].fault, "the server answers 404");
}

TEST_F(Certificates, WarningsGrowAsTheEndComesNear) {
  held_known = false;
  add("month", kPkiNow + 31 * kDay, "a");
  add("weeks", kPkiNow + 30 * kDay, "b");
  add("days", kPkiNow + 7 * kDay, "c");
  add("today", kPkiNow + kDay - 1, "d");
  add("gone", kPkiNow - 1, "e");
  const auto in = [](const std::string& name, const std::string& rest) {
    return "the certificate 'CN=" + name + "' (/etc/cygnet/certs/" + name + ".pem) " + rest;
  };
  EXPECT_EQ(warnings(), (std::vector<std::string>{
                            "notice " + in("weeks", "expires in 30 days"), "warning " + in("days", "expires in 7 days"),
                            "error " + in("today", "expires in 23 hours"), "error " + in("gone", "has expired")}));
}

TEST_F(Certificates, TheNextLookIsWhenThereIsMoreToSay) {
  control::CertsReport report;
  const auto next_with = [&](std::int64_t left_s) {
    control::CertificateReport one;
    one.subject = "CN=moon";
    one.expires_in_s = left_s;
    report.certificates = {one};
    return next_certificate_warning_s(report);
  };
  EXPECT_EQ(next_certificate_warning_s(report), 0);
  EXPECT_EQ(next_with(40 * kDay), 10 * kDay + 1) << "30 days before";
  EXPECT_EQ(next_with(30 * kDay), 1);
  EXPECT_EQ(next_with(29 * kDay), 22 * kDay + 1) << "a week before";
  EXPECT_EQ(next_with(90), 91) << "the end itself";
  EXPECT_EQ(next_with(-1), 0) << "has ended";
  report.certificates[0].expires_in_s = 3600;
  report.authorities = report.certificates;
  report.authorities[0].expires_in_s = 60;
  EXPECT_EQ(next_certificate_warning_s(report), 61);
}

TEST_F(Certificates, OurOwnWithoutAKeyIsToldOnceKeysHasSpoken) {
  add("moon", kPkiNow + 365 * kDay, "office");
  held_known = false;
  EXPECT_TRUE(warnings().empty());
  held_known = true;
  ASSERT_EQ(warnings().size(), 1U);
  EXPECT_EQ(warnings()[0].substr(0, 66), "warning there is no private key for our certificate 'CN=moon' (/et");
  held.insert(crypto::PublicKey::from_spki(test::key_to_spki(last.key.get()))->key_id());
  EXPECT_TRUE(warnings().empty());
}

TEST(KeyMessages, HeldKeysAreNoResultsAndResultsNoHeldKeys) {
  const HeldKeys held{.first = true, .key_ids = {Bytes(32, 1), Bytes(32, 2)}};
  const auto bytes = encode_held_keys(held);
  const auto back = decode_held_keys(bytes);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->first);
  EXPECT_EQ(back->key_ids, held.key_ids);
  EXPECT_FALSE(decode_results(bytes));
  EXPECT_FALSE(decode_held_keys(encode_results({})));
  EXPECT_FALSE(decode_held_keys(ByteView(bytes).first(bytes.size() - 1)));
}

}  // namespace
}  // namespace cygnet::daemon
