// SPDX-License-Identifier: Apache-2.0
// Words about how long things live and what happens when they do not.
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

TEST(LifeWords, Reauth) {
  EXPECT_FALSE(load_one("mtu=1400").reauth);
  EXPECT_TRUE(load_one("reauth=yes").reauth);
  EXPECT_FALSE(load_one("reauth=no").reauth);
  EXPECT_EQ(faults_of("reauth=perhaps"), "7:9: error: 'perhaps' is no value of reauth=\n");
}

// A connection whose right= line, the third, is this one.
std::string to(const std::string& right) {
  return "conn net\n\tleft=192.0.2.1\n\tright=" + right +
         "\n\tleftsubnet=10.1.0.0/16\n\trightsubnet=10.2.0.0/16\n\tauthby=secret\n\tauto=add\n";
}

TEST(LifeWords, SeveralAddressesOfThePeer) {
  const auto loaded = load_text(to("198.51.100.1, gw.example.net,198.51.100.3\n\trightid=@gw"));
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  const auto& c = loaded.connections.at(0);
  EXPECT_EQ(c.remote.host.to_string(), "198.51.100.1");
  ASSERT_EQ(c.remote.alternatives.size(), 2U);
  EXPECT_EQ(c.remote.alternatives[0].name, "gw.example.net");
  EXPECT_EQ(c.remote.alternatives[1].to_string(), "198.51.100.3");
  EXPECT_TRUE(c.failback);
  EXPECT_EQ(c.failback_interval_s, 300U);
}

TEST(LifeWords, Childless) {
  using model::Childless;
  EXPECT_EQ(load_one("mtu=1400").childless, Childless::kAllow);
  EXPECT_EQ(load_one("childless=never").childless, Childless::kNever);
  EXPECT_EQ(load_one("childless=prefer").childless, Childless::kPrefer);
  EXPECT_EQ(load_one("childless=force").childless, Childless::kForce);
  EXPECT_EQ(faults_of("childless=yes"), "7:12: error: 'yes' is no value of childless=\n");
}

TEST(LifeWords, Tfc) {
  EXPECT_FALSE(load_one("mtu=1400").refuse_tfc);
  EXPECT_TRUE(load_one("send-no-esp-tfc=yes").refuse_tfc);
  EXPECT_EQ(load_one("mtu=1400").children[0].tfc_octets, 0U);
  EXPECT_EQ(load_one("tfc=1300").children[0].tfc_octets, 1300U);
  EXPECT_EQ(load_one("tfc=%mtu").children[0].tfc_octets, model::kTfcToMtu);
  EXPECT_NE(faults_of("tfc=1300\n\tcompress=yes").find("what is compressed cannot be padded"), std::string::npos);
  EXPECT_NE(faults_of("tfc=yes"), "");
}

TEST(LifeWords, Ah) {
  const auto one = load_one("ah=sha512-x25519").children.at(0);
  EXPECT_EQ(one.protocol, model::SaProtocol::kAh);
  ASSERT_EQ(one.proposals.size(), 1U);
  EXPECT_EQ(one.proposals[0].protocol, model::Protocol::kAh);
  EXPECT_TRUE(one.proposals[0].of(model::TransformType::kEncryption).empty());
  EXPECT_EQ(one.proposals[0].of(model::TransformType::kIntegrity),
            (std::vector<model::Transform>{{model::TransformType::kIntegrity, 14, 0}}));
  EXPECT_FALSE(one.proposals[0].of(model::TransformType::kEsn).empty());
  // Libreswan's way, in any order of the words.
  const auto other = load_one("phase2alg=sha2_256\n\tphase2=ah").children.at(0);
  EXPECT_EQ(other.protocol, model::SaProtocol::kAh);
  EXPECT_EQ(other.proposals.at(0).of(model::TransformType::kIntegrity).at(0).id, 12);
  EXPECT_EQ(load_one("phase2=ah").children.at(0).proposals.at(0).of(model::TransformType::kIntegrity).size(), 3U);
  EXPECT_EQ(load_one("phase2=esp").children.at(0).protocol, model::SaProtocol::kEsp);
  EXPECT_NE(faults_of("ah=aes256-sha256").find("it encrypts nothing"), std::string::npos);
  EXPECT_NE(faults_of("ah=sha256\n\tencapsulation=yes").find("cannot travel in UDP"), std::string::npos);
  EXPECT_NE(faults_of("ah=sha256\n\tcompress=yes").find("inside ESP only"), std::string::npos);
  EXPECT_NE(faults_of("ah=sha256\n\ttfc=1000").find("AH hides nothing"), std::string::npos);
  EXPECT_NE(faults_of("phase2=ah+esp").find("no bundles"), std::string::npos);
}

TEST(LifeWords, TheWayBack) {
  const auto c = load_one("failback=no\nfailback-interval=2m");
  EXPECT_FALSE(c.failback);
  EXPECT_EQ(c.failback_interval_s, 120U);
}

TEST(LifeWords, AddressesThatCannotBe) {
  const auto faults = [](const std::string& right) { return lines_of(load_text(to(right)).diagnostics); };
  EXPECT_EQ(faults("198.51.100.1,198.51.100.2"), "3:8: error: conn net: several addresses in right= need rightid=\n");
  EXPECT_EQ(faults("198.51.100.1,,198.51.100.2\n\trightid=@gw"),
            "3:8: error: '198.51.100.1,,198.51.100.2' is no value of right=\n");
  EXPECT_EQ(faults("198.51.100.1,%any\n\trightid=@gw"), "3:8: error: '198.51.100.1,%any' is no value of right=\n");
  EXPECT_EQ(faults("198.51.100.1,2001:db8::1\n\trightid=@gw"),
            "3:8: error: conn net: left= and right= are addresses of different families\n");
}

}  // namespace
}  // namespace cygnet::config
