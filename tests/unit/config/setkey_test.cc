// SPDX-License-Identifier: Apache-2.0
// setkey's language.
#include <gtest/gtest.h>

#include "config/setkey_algorithms.h"
#include "config/setkey_script.h"

namespace cygnet::config {
namespace {

SetkeyScript parse(std::string_view text) { return parse_setkey(text, "script"); }

SetkeyStatement one(std::string_view text) {
  auto script = parse(text);
  EXPECT_TRUE(script.diagnostics.empty()) << to_string(script.diagnostics);
  EXPECT_EQ(script.statements.size(), 1U);
  return script.statements.empty() ? SetkeyStatement{} : script.statements[0];
}

// "line:column: message"
std::string error_of(std::string_view text) {
  const auto script = parse(text);
  if (script.diagnostics.size() != 1) return std::to_string(script.diagnostics.size()) + " diagnostics";
  const auto& d = script.diagnostics[0];
  return std::to_string(d.line) + ":" + std::to_string(d.column) + ": " + d.message;
}

TEST(SetkeyScript, AddWithEverything) {
  const auto s =
      one("add -4 192.0.2.1 192.0.2.2 esp 0x10001\n"
          "  -m tunnel -r 64 -u 7 -f zero-pad -f esn -lh 3600 -ls 3000 -bh 1000000 -bs 900000 \\\n"
          "  -E aes-cbc 0x000102030405060708090a0b0c0d0e0f # a key\n"
          "  -A hmac-sha1 \"twenty octets of key\";");
  EXPECT_EQ(s.verb, SetkeyVerb::kAdd);
  EXPECT_EQ(s.family, '4');
  EXPECT_EQ(s.source.host, "192.0.2.1");
  EXPECT_EQ(s.destination.host, "192.0.2.2");
  EXPECT_EQ(s.sa.protocol, SetkeyProtocol::kEsp);
  EXPECT_EQ(s.sa.spi, 0x10001U);
  EXPECT_EQ(s.sa.mode, SetkeyMode::kTunnel);
  EXPECT_EQ(s.sa.replay, 64);
  EXPECT_EQ(s.sa.reqid, 7U);
  EXPECT_EQ(s.sa.flags, 0x04000200U);
  EXPECT_EQ(s.sa.hard.seconds, 3600U);
  EXPECT_EQ(s.sa.soft.seconds, 3000U);
  EXPECT_EQ(s.sa.hard.bytes, 1000000U);
  EXPECT_EQ(s.sa.soft.bytes, 900000U);
  EXPECT_EQ(s.sa.encryption, 12);
  EXPECT_EQ(to_hex(s.sa.encryption_key), "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(s.sa.authentication, 3);
  EXPECT_EQ(std::string(s.sa.authentication_key.begin(), s.sa.authentication_key.end()), "twenty octets of key");
}

TEST(SetkeyScript, AlgorithmsOfTheOldOneAndAeads) {
  const auto number = [](const std::string& words) { return one("add a b esp 256 " + words + ";").sa; };
  EXPECT_EQ(number("-E null -A hmac-md5 \"0123456789abcdef\"").encryption, 11);
  EXPECT_EQ(number("-E des-cbc \"8 octets\" -A null").authentication, 251);
  EXPECT_EQ(number("-E 3des-cbc 0x" + std::string(48, '1')).encryption, 3);
  EXPECT_EQ(number("-E blowfish-cbc \"hello\"").encryption, 7);
  EXPECT_EQ(number("-E rijndael-cbc \"0123456789abcdef\"").encryption, 12);
  EXPECT_EQ(number("-E aes-ctr 0x" + std::string(40, '1')).encryption, 13);
  EXPECT_EQ(number("-E aes-ccm-16 0x" + std::string(38, '1')).encryption, 16);
  EXPECT_EQ(number("-E aes-gcm-16 0x" + std::string(72, '1')).encryption, 20);
  EXPECT_EQ(number("-E aes-gmac 0x" + std::string(40, '1')).encryption, 23);
  EXPECT_EQ(number("-E chacha20-poly1305 0x" + std::string(72, '1')).encryption, 31);
  EXPECT_EQ(number("-E camellia-cbc 0x" + std::string(64, '1')).encryption, 22);
  EXPECT_EQ(number("-A hmac-sha2-256 0x" + std::string(64, '1')).authentication, 5);
  EXPECT_EQ(number("-A hmac-sha512 0x" + std::string(128, '1')).authentication, 7);
  EXPECT_EQ(number("-A aes-xcbc-mac 0x" + std::string(32, '1')).authentication, 9);
  EXPECT_EQ(one("add a b ah 256 -A aes128-gmac 0x" + std::string(40, '1') + ";").sa.authentication, 11);
  EXPECT_EQ(one("add a b ah 256 -A aes256-gmac 0x" + std::string(72, '1') + ";").sa.authentication, 13);
  EXPECT_EQ(one("add a b ipcomp 256 -C deflate -R;").sa.compression, 2);
  EXPECT_EQ(one("add a b tcp 0x1000 -A tcp-md5 \"secret\";").sa.authentication, 252);
}

TEST(SetkeyScript, EveryVerb) {
  const auto script = parse(
      "flush; flush esp; dump ah; spdflush; spddump;;\n"
      "get 192.0.2.1 192.0.2.2 esp 4096; delete -n 192.0.2.1 192.0.2.2 ah 4096;\n"
      "deleteall 192.0.2.1 192.0.2.2 esp; update 192.0.2.1 192.0.2.2 esp 4096 -lh 5;");
  ASSERT_TRUE(script.diagnostics.empty()) << to_string(script.diagnostics);
  using V = SetkeyVerb;
  const std::vector<V> verbs = {V::kFlush, V::kFlush,  V::kDump,      V::kSpdFlush, V::kSpdDump,
                                V::kGet,   V::kDelete, V::kDeleteAll, V::kUpdate};
  ASSERT_EQ(script.statements.size(), verbs.size());
  for (std::size_t i = 0; i < verbs.size(); ++i) EXPECT_EQ(script.statements[i].verb, verbs[i]) << i;
  EXPECT_EQ(script.statements[0].sa.protocol, SetkeyProtocol::kAny);
  EXPECT_EQ(script.statements[1].sa.protocol, SetkeyProtocol::kEsp);
  EXPECT_EQ(script.statements[2].sa.protocol, SetkeyProtocol::kAh);
  EXPECT_TRUE(script.statements[6].no_lookup);
  EXPECT_EQ(script.statements[8].place.line, 3);
  EXPECT_EQ(script.statements[8].place.column, 36);
}

TEST(SetkeyScript, Policies) {
  auto s = one("spdadd 10.1.0.0/16[any] 10.2.0.0/16[80] tcp -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/unique:7;");
  EXPECT_EQ(s.verb, SetkeyVerb::kSpdAdd);
  EXPECT_EQ(s.source.prefix_length, 16);
  EXPECT_EQ(s.source.port, 0);
  EXPECT_EQ(s.destination.port, 80);
  EXPECT_EQ(s.policy.protocol, 6);
  EXPECT_EQ(s.policy.direction, SetkeyDirection::kOut);
  EXPECT_EQ(s.policy.action, SetkeyAction::kIpsec);
  EXPECT_EQ(s.policy.priority, 0U);
  ASSERT_EQ(s.policy.requests.size(), 1U);
  EXPECT_EQ(s.policy.requests[0].mode, SetkeyMode::kTunnel);
  EXPECT_EQ(s.policy.requests[0].source->host, "192.0.2.1");
  EXPECT_EQ(s.policy.requests[0].destination->host, "192.0.2.2");
  EXPECT_EQ(s.policy.requests[0].level, SetkeyLevel::kUnique);
  EXPECT_EQ(s.policy.requests[0].reqid, 7U);

  s = one("spdupdate 2001:db8::/32 any icmp6 135,0 -P in ipsec ah/transport//use esp/transport;");
  EXPECT_EQ(s.verb, SetkeyVerb::kSpdUpdate);
  EXPECT_EQ(s.policy.protocol, 58);
  EXPECT_EQ(s.source.port, 135);
  ASSERT_EQ(s.policy.requests.size(), 2U);
  EXPECT_EQ(s.policy.requests[0].protocol, SetkeyProtocol::kAh);
  EXPECT_EQ(s.policy.requests[0].level, SetkeyLevel::kUse);
  EXPECT_EQ(s.policy.requests[1].level, SetkeyLevel::kDefault);

  s = one("spdadd 192.0.2.1 192.0.2.2 gre 0x12345678 -P out ipsec esp/transport//require;");
  EXPECT_EQ(s.policy.protocol, 47);
  EXPECT_EQ(s.source.port, 0x1234);
  EXPECT_EQ(s.destination.port, 0x5678);
  s = one("spdadd 192.0.2.1 192.0.2.2 gre -P out none;");
  EXPECT_EQ(s.source.port, 0);

  s = one("spdadd any any any -P fwd discard;");
  EXPECT_EQ(s.policy.protocol, 255);
  EXPECT_EQ(s.policy.direction, SetkeyDirection::kForward);
  EXPECT_EQ(s.policy.action, SetkeyAction::kDiscard);
  s = one("spddelete -46n 10.0.0.0/8 10.0.0.0/8 any -P out;");
  EXPECT_EQ(s.verb, SetkeyVerb::kSpdDelete);
  EXPECT_EQ(s.family, 0);
  s = one("spdadd tagged \"web\" -P out none;");
  EXPECT_EQ(s.tag, "web");
  s = one("spdadd gw-one gw-two any -P out ipsec esp/tunnel/gw-one-gw-two/require;");
  EXPECT_EQ(s.policy.requests[0].source->host, "gw-one");
  EXPECT_EQ(s.policy.requests[0].destination->host, "gw-two");
}

TEST(SetkeyScript, BehindExitNothingIsRead) {
  for (const std::string word : {"exit", "quit", "bye"}) {
    const auto script = parse_setkey("flush;\n" + word + ";\nnonsense", "");
    EXPECT_EQ(script.statements.size(), 1U) << word;
    EXPECT_TRUE(script.diagnostics.empty()) << word;
  }
  EXPECT_EQ(parse_setkey("flush; exit now;", "").diagnostics.size(), 1U);
  EXPECT_EQ(parse_setkey("exit", "").diagnostics.size(), 1U);
  EXPECT_EQ(parse_setkey("spdadd any any gre 4294967296 -P out none;", "").diagnostics.size(), 1U);
}

TEST(SetkeyScript, Priorities) {
  const auto priority = [](const std::string& words) {
    return one("spdadd any any any -P out " + words + " none;").policy.priority;
  };
  EXPECT_EQ(priority("prio def"), 0x80000000U);
  EXPECT_EQ(priority("priority 100"), 0x80000000U - 100);
  EXPECT_EQ(priority("prio -100"), 0x80000000U + 100);
  EXPECT_EQ(priority("prio - 100"), 0x80000000U + 100);
  EXPECT_EQ(priority("prio high"), 0x40000000U);
  EXPECT_EQ(priority("prio high + 5"), 0x40000000U - 5);
  EXPECT_EQ(priority("prio low -5"), 0xC0000000U + 5);
  EXPECT_EQ(priority("prio 2147483647"), 1U);
}

TEST(SetkeyErrors, NameLineAndColumn) {
  EXPECT_EQ(error_of("flush;\n  ad 192.0.2.1;"), "2:3: setkey has no statement 'ad'");
  EXPECT_EQ(error_of("flush"), "1:1: a semicolon must end the statement");
  EXPECT_EQ(error_of("flush esp ah;"), "1:11: 'ah' is too much here: a semicolon must end the statement");
  EXPECT_EQ(error_of("add 192.0.2.1;"), "1:14: an address is missing before the semicolon");
  EXPECT_EQ(error_of("add 192.0.2.1 192.0.2.2 espx 1;"), "1:25: 'espx' is no protocol of IPsec");
  EXPECT_EQ(error_of("add a b esp-old 300 -E null;"),
            "1:9: esp-old is the IPsec of 1995 (RFC 1826, 1827) and is not spoken any more");
  EXPECT_EQ(error_of("add a b esp 255;"), "1:13: SPIs up to 255 are reserved (RFC 4303 section 2.1)");
  EXPECT_EQ(error_of("add a b esp 0x100000000;"),
            "1:13: '0x100000000' is no SPI: a number up to 4294967295, decimal or hexadecimal with 0x");
  EXPECT_EQ(error_of("add a b esp 300 -z 1;"), "1:17: an SA has no option -z");
  EXPECT_EQ(error_of("add a b esp 300 -m round;"), "1:20: 'round' is no mode");
  EXPECT_EQ(error_of("add a b esp 300 -E rot13 0x00;"), "1:20: 'rot13' is no algorithm for -E");
  EXPECT_EQ(error_of("add a b esp 300 -E des-deriv 0x0011223344556677;"),
            "1:20: 'des-deriv' is a transform of an ESP before RFC 2406, which no system has");
  EXPECT_EQ(error_of("add a b esp 300 -E 3des-deriv 0x00;"),
            "1:20: '3des-deriv' is a transform of an ESP before RFC 2406, which no system has");
  EXPECT_EQ(error_of("add a b esp 300 -E aes-cbc 0x0011;"),
            "1:28: aes-cbc takes a key of 128, 192, 256 bits (16 octets or more), not of 16");
  EXPECT_EQ(error_of("add a b esp 300 -E aes-cbc 0x001;"),
            "1:28: the key has an odd number of hexadecimal digits, or something else than digits");
  EXPECT_EQ(error_of("add a b esp 300 -E aes-cbc secret;"),
            "1:28: a key is hexadecimal with 0x before it, or a string in double quotes")
      << "the key itself is not shown";
  EXPECT_EQ(error_of("add a b esp 300 -E aes-cbc \"secret;"), "1:28: the string has no closing quote on its line");
  EXPECT_EQ(error_of("add a b esp 300;"), "1:1: esp needs an algorithm");
  EXPECT_EQ(error_of("add a b ah 300 -E null;"), "1:1: -E is for esp");
  EXPECT_EQ(error_of("add a b esp-udp 300 -E null -A null;"), "1:1: esp-udp needs both ports");
  EXPECT_EQ(error_of("add 10.0.0.0/8 b esp 300;"), "1:5: '10.0.0.0/8' is a range; a single address belongs here");
  EXPECT_EQ(error_of("spdadd a b;"), "1:11: an upper-layer protocol (tcp, udp, any) is missing before the semicolon");
  EXPECT_EQ(error_of("spdadd a b any out none;"), "1:16: -P and a direction must follow here");
  EXPECT_EQ(error_of("spdadd a b any -P up none;"), "1:19: 'up' is no direction");
  EXPECT_EQ(error_of("spdadd a b any -P out ipsec;"),
            "1:28: how to protect (esp/tunnel/A-B/require) is missing before the semicolon");
  EXPECT_EQ(error_of("spdadd a b any -P out ipsec esp/tunnel//require;"),
            "1:29: a tunnel needs the addresses of both its ends");
  EXPECT_EQ(error_of("spdadd a b any -P out ipsec esp/tunnel/1.1.1.1-2.2.2.2/unique:99999;"),
            "1:29: 'unique:99999' has no reqid as it should be");
  EXPECT_EQ(error_of("spdadd 10.0.0.0/129 b any -P out none;"), "1:8: '10.0.0.0/129' has a prefix length that is none");
  EXPECT_EQ(error_of("spdadd a[99999] b any -P out none;"), "1:8: '99999' is no port: a number up to 65535, or any");
}

TEST(SetkeyErrors, AFaultyScriptStopsAtItsFirstError) {
  const auto script = parse("flush; nonsense; alsononsense;");
  EXPECT_EQ(script.diagnostics.size(), 1U);
  EXPECT_EQ(script.statements.size(), 1U);
}

TEST(SetkeyErrors, EveryTruncationIsSurvived) {
  const std::string whole =
      "add -4 192.0.2.1[4500] 192.0.2.2[4500] esp-udp 0x10001 -m tunnel -f esn -ctx 1 1 \"x\" -E aes-gcm-16 "
      "0x000102030405060708090a0b0c0d0e0f10111213; spdadd 10.0.0.0/8 10.0.0.0/8 icmp6 1,2 -P out prio high + 5 ipsec "
      "esp/tunnel/1.1.1.1-2.2.2.2/unique:5;";
  EXPECT_TRUE(parse(whole).diagnostics.empty()) << to_string(parse(whole).diagnostics);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto script = parse(std::string_view(whole).substr(0, n));
    EXPECT_LE(script.diagnostics.size(), 1U);
  }
}

}  // namespace
}  // namespace cygnet::config
