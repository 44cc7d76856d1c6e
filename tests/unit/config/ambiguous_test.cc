// SPDX-License-Identifier: Apache-2.0
// Connections that a peer could choose between: refused when they are loaded.
#include "config/ambiguity.h"
#include "unit/config/config_test_support.h"

namespace cygnet::config {
namespace {

std::string conn(const std::string& name, const std::string& words) {
  std::string text = "conn " + name + "\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tauto=add\n";
  std::size_t at = 0;
  while (at < words.size()) {
    const auto end = words.find(';', at);
    text += '\t' + words.substr(at, end - at) + '\n';
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return text;
}

std::string faults(const std::string& a, const std::string& b) {
  const std::string pem = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  MemoryFiles files(
      {{"/etc/ipsec.conf", conn("a", "leftsubnet=10.1.0.0/16;" + a) + conn("b", "leftsubnet=10.2.0.0/16;" + b)},
       {"/etc/certs/own.pem", pem},
       {"/etc/certs/x.pem", pem},
       {"/etc/certs/y.pem", pem}});
  std::string text;
  for (const auto& d : load_ipsec_conf("/etc/ipsec.conf", files).diagnostics) {
    if (d.level == Level::kError) text += to_line(d) + '\n';
  }
  return text;
}

std::string clash(const std::string& line_of_b, const std::string& left, const std::string& right) {
  return "/etc/ipsec.conf:" + line_of_b + ":1: error: conn b and conn a (/etc/ipsec.conf:1) are for the same ends, " +
         left + " and " + right +
         ", and want different proofs: which of them a peer gets would depend on their order\n";
}

TEST(Ambiguous, TwoWaysToProveOneIdentity) {
  EXPECT_EQ(faults("rightid=@x.test", "rightid=@x.test;authby=pubkey;leftcert=own.pem"),
            "");  // our own identities differ: the address, and the certificate's subject
  EXPECT_EQ(faults("rightid=@x.test;leftid=@g.test", "rightid=@x.test;leftid=@g.test;authby=pubkey;leftcert=own.pem"),
            clash("8", "'g.test'", "'x.test'"));
  EXPECT_EQ(faults("authby=secret;leftid=@g.test", "leftauth=psk;rightauth=pubkey;leftid=@g.test"),
            clash("8", "'g.test'", "'192.0.2.2'"));
}

TEST(Ambiguous, WildcardsOfOneKind) {
  EXPECT_EQ(faults("rightid=@*.test;leftid=@g.test;leftcert=own.pem",
                   "rightid=@*.test;leftid=@g.test;leftcert=own.pem;rightca=\"CN=X\""),
            clash("9", "'g.test'", "'*.test'"));
  EXPECT_EQ(faults("rightid=@*.test;leftid=@g.test;leftcert=own.pem",
                   "rightid=@*.vpn.test;leftid=@g.test;leftcert=own.pem;rightca=\"CN=X\""),
            "");
  EXPECT_EQ(faults("rightid=%any;leftcert=own.pem", "rightid=%any;leftcert=own.pem;rightrevocation=strict"),
            clash("8", "'192.0.2.1'", "anyone at 192.0.2.2"));
}

TEST(Ambiguous, RulesThatNobodySatisfiesBothAreClear) {
  const std::string common = "rightid=%any;leftcert=own.pem;";
  EXPECT_EQ(faults(common + "rightca=\"CN=X\"", common + "rightca=\"CN=Y\""), "");
  EXPECT_EQ(faults(common + "rightgroups=a,b", common + "rightgroups=c"), "");
  EXPECT_EQ(faults(common + "rightcert=x.pem", common + "rightcert=y.pem"), "");
  EXPECT_EQ(faults(common + "rightgroups=a,b", common + "rightgroups=\"b,c\""),
            clash("9", "'192.0.2.1'", "anyone at 192.0.2.2"));
  EXPECT_EQ(faults(common + "rightca=\"CN=X\"", common + "rightca=%same"),
            clash("9", "'192.0.2.1'", "anyone at 192.0.2.2"));
}

TEST(Ambiguous, SameRulesAndOtherPeersAreClear) {
  EXPECT_EQ(faults("rightid=@x.test", "rightid=@x.test"), "");
  EXPECT_EQ(faults("rightid=@x.test;leftid=@g.test", "rightid=@y.test;leftid=@g.test;authby=pubkey;leftcert=own.pem"),
            "");
}

TEST(Ambiguous, LeftAndRightMayBeSwapped) {
  const auto text =
      "conn a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftid=@g.test\n\trightid=@x.test\n\tauto=add\n"
      "conn b\n\tright=192.0.2.1\n\tleft=192.0.2.2\n\trightid=@g.test\n\tleftid=@x.test\n\tauto=add\n"
      "\tleftauth=pubkey\n\trightauth=psk\n";
  const auto loaded = load_text(text);
  EXPECT_FALSE(loaded.ok());
  EXPECT_NE(
      lines_of(loaded.diagnostics).find("7:1: error: conn b and conn a (/etc/ipsec.conf:1) are for the same ends"),
      std::string::npos)
      << lines_of(loaded.diagnostics);
}

// What is clear only once it is known which end is ours.
std::map<std::string, std::string> at_home(const std::string& a, const std::string& b, const char* own) {
  const std::string pem = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  MemoryFiles files(
      {{"/etc/ipsec.conf", conn("a", "leftsubnet=10.1.0.0/16;" + a) + conn("b", "leftsubnet=10.2.0.0/16;" + b)},
       {"/etc/certs/x.pem", pem},
       {"/etc/certs/y.pem", pem}});
  auto loaded = load_ipsec_conf("/etc/ipsec.conf", files);
  EXPECT_TRUE(loaded.ok()) << lines_of(loaded.diagnostics);
  for (auto& connection : loaded.connections) EXPECT_TRUE(model::orient(connection, {*IpAddress::parse(own)}));
  return find_ambiguous_oriented(loaded.connections);
}

TEST(Ambiguous, OurOwnCertificatesTellNobodyApart) {
  const std::string a = "leftid=@x.test;rightid=@y.test;authby=pubkey;leftcert=x.pem";
  const std::string b = "leftid=@x.test;rightid=@y.test;authby=pubkey;leftcert=y.pem";
  // Seen from the right each is what the peer must prove.
  EXPECT_TRUE(at_home(a, b, "192.0.2.2").empty());
  const auto found = at_home(a, b, "192.0.2.1");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.begin()->first, "b");
  EXPECT_EQ(found.begin()->second.find("it is for the same ends as conn a, 'x.test' and 'y.test', and wants different "
                                       "proofs"),
            0U)
      << found.begin()->second;
}

TEST(Ambiguous, AnEndHasOneAddressHoweverItIsWritten) {
  const std::string rules = "leftid=@x.test;rightid=@y.test;";
  auto loaded = load_text(conn("a", rules + "authby=secret") + conn("b", rules + "leftauth=psk;rightauth=pubkey"));
  EXPECT_FALSE(loaded.ok());
  auto text = conn("b", rules + "leftauth=psk;rightauth=pubkey");
  text.replace(text.find("192.0.2.1"), 9, "%defaultroute");
  loaded = load_text(conn("a", rules + "authby=secret") + text);
  ASSERT_TRUE(loaded.ok()) << lines_of(loaded.diagnostics);
  ASSERT_EQ(loaded.connections.size(), 2U);
  auto& host = loaded.connections[1].local.host;
  ASSERT_EQ(host.kind, model::HostSpec::Kind::kDefaultRoute);
  host.address = *IpAddress::parse("192.0.2.3");
  host.resolved = true;
  EXPECT_TRUE(find_ambiguous_oriented(loaded.connections).empty());
  host.address = *IpAddress::parse("192.0.2.1");
  EXPECT_EQ(find_ambiguous_oriented(loaded.connections).count("b"), 1U);
}

// Whoever answers DNS for one name does not take down another connection, though that comes later in the file.
TEST(Ambiguous, WhatIsWrittenCountsBeforeAName) {
  const std::string rules = "leftid=@x.test;rightid=@y.test;";
  auto text = conn("a", rules + "authby=secret");
  text.replace(text.find("192.0.2.2"), 9, "hub.test");
  auto loaded = load_text(text + conn("b", rules + "leftauth=psk;rightauth=pubkey"));
  ASSERT_TRUE(loaded.ok()) << lines_of(loaded.diagnostics);
  auto& host = loaded.connections.at(0).remote.host;
  ASSERT_EQ(host.kind, model::HostSpec::Kind::kName);
  host.address = *IpAddress::parse("192.0.2.2");
  host.resolved = true;
  const auto found = find_ambiguous_oriented(loaded.connections);
  EXPECT_EQ(found.size(), 1U);
  EXPECT_EQ(found.count("a"), 1U);
}

// Nor, of two with names, does an answer for the one take the other down.
TEST(Ambiguous, ANewAnswerCountsAfterOneThatWasThere) {
  const std::string rules = "leftid=@x.test;rightid=@y.test;";
  auto a = conn("a", rules + "authby=secret");
  auto b = conn("b", rules + "leftauth=psk;rightauth=pubkey");
  a.replace(a.find("192.0.2.2"), 9, "two.test");
  b.replace(b.find("192.0.2.2"), 9, "bank.test");
  auto loaded = load_text(a + b);
  ASSERT_TRUE(loaded.ok()) << lines_of(loaded.diagnostics);
  for (auto& connection : loaded.connections) {
    connection.remote.host.address = *IpAddress::parse("192.0.2.2");
    connection.remote.host.resolved = true;
  }
  EXPECT_EQ(find_ambiguous_oriented(loaded.connections).count("b"), 1U) << "of two new ones the later";
  const auto found = find_ambiguous_oriented(loaded.connections, [](const auto& c) { return c.name == "b"; });
  EXPECT_EQ(found.size(), 1U);
  EXPECT_EQ(found.count("a"), 1U);
}

}  // namespace
}  // namespace cygnet::config
