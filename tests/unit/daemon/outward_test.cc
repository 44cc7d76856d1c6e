// SPDX-License-Identifier: Apache-2.0
// What the monitor has the packet filter refuse of what leaves: clear text that goes past the routes into a tunnel.
#include "unit/daemon/network_fixture.h"

namespace cygnet::daemon {
namespace {

TEST(OutwardGate, WhatRulesOfOthersSayInWordsOfThePacketFilter) {
  using Matches = std::vector<std::string>;
  const auto matches = [](const char* text) { return matches_of({.priority = 1, .table = 100, .text = text}); };
  EXPECT_EQ(matches("from 10.1.0.0/24 lookup 100"), Matches{"ip saddr 10.1.0.0/24 "});
  EXPECT_EQ(matches("from all to 2001:db8::/32 iif lan fwmark 0x7 lookup main"),
            Matches{"ip6 daddr 2001:db8::/32 iifname \"lan\" meta mark 0x7 "});
  EXPECT_EQ(matches("from 10.1.0.1/32 oif wan goto 7"), Matches{"ip saddr 10.1.0.1/32 oifname \"wan\" "});
  EXPECT_EQ(matches("from all fwmark 0x200/0xf00 lookup 100"), Matches{"meta mark & 0xf00 == 0x200 "});
  EXPECT_EQ(matches("from all ipproto 17 sport 7 dport 80-90 uidrange 1000-1999 lookup 100"),
            Matches{"meta l4proto 17 th sport 7 th dport 80-90 meta skuid 1000-1999 "});
  EXPECT_EQ(matches("not from 10.1.0.0/24 lookup 100"), Matches{"ip saddr != 10.1.0.0/24 "});
  EXPECT_EQ(matches("not from 10.1.0.0/24 fwmark 0x1/0xff lookup 100"),
            (Matches{"ip saddr != 10.1.0.0/24 ", "meta mark & 0xff != 0x1 "}));
  // More than it says is let out, never less.
  EXPECT_EQ(matches("from all lookup 100"), Matches{""});
  EXPECT_EQ(matches("from all iif lo lookup 100"), Matches{""});
  EXPECT_EQ(matches("from all fwmark 1;drop lookup 100"), Matches{""});
  EXPECT_EQ(matches("from all iif a\"b lookup 100"), Matches{""});
  EXPECT_EQ(matches("not from 10.1.0.0/24 iif lo lookup 100"), Matches{""});
  // What of its table's routes it is for is not known: nothing goes past a tunnel because of it.
  EXPECT_EQ(matches("from all lookup main suppress_prefixlength 0"), Matches{});
}

TEST(OutwardGate, OnlyWhatChangedIsTold) {
  using Way = OutwardGate::Way;
  const auto prefix = [](const char* text) { return *IpPrefix::parse(text); };
  OutwardGate gate(false);
  gate.want(prefix("10.2.0.0/16"), Way::kHeld);
  gate.want(prefix("10.2.3.0/24"), Way::kLetOut);
  const auto all = gate.changes_text("inet t");
  EXPECT_NE(all.find("add rule inet t ways4 ip daddr & 255.255.0.0 == @held4_16 goto exceptions\n"), std::string::npos);
  EXPECT_LT(all.find("@out4_24 accept"), all.find("@held4_16 goto"));
  gate.on_told();
  EXPECT_FALSE(gate.unsettled());
  gate.want(prefix("10.3.0.0/16"), Way::kHeld);
  EXPECT_EQ(gate.changes_text("inet t"),
            "add set inet t held4_16 { type ipv4_addr; }\nadd element inet t held4_16 { 10.3.0.0 }\n");
  gate.want(prefix("10.3.0.0/16"), std::nullopt);
  EXPECT_FALSE(gate.unsettled());
  gate.want(prefix("10.2.3.0/24"), Way::kHeld);
  const auto other = gate.changes_text("inet t");
  EXPECT_NE(other.find("delete element inet t out4_24 { 10.2.3.0 }\n"), std::string::npos) << other;
  EXPECT_NE(other.find("add element inet t held4_24 { 10.2.3.0 }\n"), std::string::npos) << other;
  EXPECT_EQ(other.find("@out4_24"), std::string::npos) << other;
  gate.on_told();
  gate.begin_anew();
  EXPECT_NE(gate.changes_text("inet t").find("{ 10.2.0.0 }"), std::string::npos);
}

// ---- in the kernel

class OutwardTest : public NetworkTest {
 protected:
  // Whether a program that binds its socket to the device may send there.
  bool leaves(const std::string& to, const std::string& device = "wan", int port = 9, const char* more = "") {
    space.in([&] { network->settle_gate(); });
    const std::string script = "import socket\ns = socket.socket(socket.AF_INET6 if ':' in '" + to +
                               "' else socket.AF_INET, socket.SOCK_DGRAM)\ns.setsockopt(1, 25, b'" + device + "')\n" +
                               more + "\ns.sendto(b'x', ('" + to + "', " + std::to_string(port) + "))\n";
    const std::string file = state + ".py";
    std::ofstream(file) << script;
    const bool left = space.shell("python3 " + file + " 2>/dev/null") == 0;
    io::remove_file(file);
    return left;
  }
  std::uint64_t held() {
    return space.in([&] {
      network->gate().look();
      return network->gate().held();
    });
  }
};

TEST_F(OutwardTest, ProgramsThatBindToADeviceAreRefusedWhatATunnelProtects) {
  EXPECT_TRUE(leaves("10.2.0.5"));
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_FALSE(leaves("10.2.0.5"));
  EXPECT_FALSE(leaves("10.2.255.255", "lan"));
  EXPECT_EQ(held(), 2U);
  EXPECT_TRUE(leaves("10.3.0.5"));
  EXPECT_TRUE(leaves("10.2.0.5", "ipsec0"));
  EXPECT_TRUE(leaves("10.2.0.5", "wan", 9, "s.setsockopt(1, 36, 0x43590000)"));  // SO_MARK: as our own
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  EXPECT_TRUE(leaves("10.2.0.5"));
  EXPECT_EQ(held(), 2U);
}

TEST_F(OutwardTest, TheLongestPrefixDecides) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  EXPECT_FALSE(leaves("8.8.8.8"));
  EXPECT_TRUE(leaves("10.1.0.77", "lan"));
  EXPECT_TRUE(leaves("192.0.2.254"));
  ASSERT_TRUE(ask(kAddRoute, "10.1.0.64/26"));
  EXPECT_FALSE(leaves("10.1.0.77", "lan"));
  EXPECT_TRUE(leaves("10.1.0.7", "lan"));
  ASSERT_TRUE(ask(kAddRoute, "10.1.0.0/24"));
  EXPECT_FALSE(leaves("10.1.0.7", "lan"));
  ASSERT_TRUE(ask(kRemoveRoute, "10.1.0.0/24"));
  EXPECT_TRUE(leaves("10.1.0.7", "lan"));
  ASSERT_EQ(space.shell("ip addr add 10.7.0.1/24 dev lan"), 0);
  EXPECT_FALSE(leaves("10.7.0.7", "lan"));
  space.in([&] { network->on_network_changed(); });
  EXPECT_TRUE(leaves("10.7.0.7", "lan"));
  // Multicast is no part of it, unless it says so itself.
  EXPECT_TRUE(leaves("239.1.2.3", "lan"));
  ASSERT_TRUE(ask(kAddRoute, "239.1.0.0/16"));
  EXPECT_FALSE(leaves("239.1.2.3", "lan"));
}

TEST_F(OutwardTest, Ipv6) {
  ASSERT_EQ(space.shell("ip addr add 2001:db8::1/64 dev wan nodad; ip -6 route add 2001:db8:5::/48 dev wan"), 0);
  space.in([&] { network->on_network_changed(); });
  ASSERT_TRUE(ask(kAddRoute, "::/0"));
  // Whoever asks for a route by its device does not get ours; the packet filter alone holds it.
  ASSERT_EQ(space.shell("ip -6 route flush table 4359"), 0);
  EXPECT_FALSE(leaves("2001:db8:5::1"));
  EXPECT_GE(held(), 1U);
  EXPECT_TRUE(leaves("2001:db8::7"));
  EXPECT_TRUE(leaves("ff05::7"));
}

TEST_F(OutwardTest, WithoutRuleAndRoutesNothingIsForwardedBesideTheTunnel) {
  ASSERT_EQ(space.shell("echo 1 > /proc/sys/net/ipv4/ip_forward; ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:01 dev "
                        "wan; ip addr add 10.1.0.9/24 dev lan2"),
            0);
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  space.in([&] { network->settle_gate(); });
  ASSERT_EQ(space.shell("ip rule del pref 210"), 0);
  // From the other end of `lan`, as a host there.
  const std::string file = state + ".py";
  std::ofstream(file) << R"(
import socket, fcntl
def mac(d): return fcntl.ioctl(s, 0x8927, d.encode().ljust(40, b'\0'))[18:24]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('lan2', 0))
for to in ('10.2.0.5', '10.3.0.5'):
    h = bytearray(b'\x45\0\0\x20\0\1\0\0\x40\x11\0\0' + bytes([10, 1, 0, 77]) + socket.inet_aton(to))
    c = sum(int.from_bytes(h[i:i+2], 'big') for i in range(0, 20, 2)); c = (c & 0xffff) + (c >> 16)
    h[10:12] = (~((c & 0xffff) + (c >> 16)) & 0xffff).to_bytes(2, 'big')
    s.send(mac('lan') + mac('lan2') + b'\x08\0' + bytes(h) + bytes.fromhex('23282329000c0000deadbeef'))
)";
  ASSERT_EQ(space.shell("python3 " + file), 0);
  io::remove_file(file);
  EXPECT_EQ(held(), 1U);
}

TEST_F(OutwardTest, WhatPoliciesLetInTheyLetOut) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[udp/9000]", "0.0.0.0/0[udp]"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddExempt, "10.2.0.7/32[udp/9000]", "0.0.0.0/0[udp]", 1));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.7/32[udp/9000-9001]", "0.0.0.0/0[udp]", 2));
  EXPECT_FALSE(leaves("10.2.0.5", "wan", 9000));
  EXPECT_TRUE(leaves("10.2.0.5", "wan", 9001));
  EXPECT_FALSE(leaves("10.2.0.7", "wan", 9001));
  ASSERT_TRUE(guard(NetworkRequest::What::kRemoveGuard, "10.2.0.0/16[udp/9000]", "0.0.0.0/0[udp]"));
  EXPECT_TRUE(leaves("10.2.0.5", "wan", 9000));
  EXPECT_TRUE(leaves("10.2.0.7", "wan", 9000));
}

TEST_F(OutwardTest, QuestionsForNamesLeaveWhileTheyMust) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  auto& gate = network->gate();
  EXPECT_FALSE(leaves("10.2.0.53", "wan", 53));
  gate.let_questions_out(NameServers{.list = {*IpAddress::parse("10.2.0.53")}}, 0);
  EXPECT_TRUE(leaves("10.2.0.53", "wan", 53));
  EXPECT_TRUE(leaves("10.2.0.53", "wan", 853));
  EXPECT_FALSE(leaves("10.2.0.53", "wan", 54));
  EXPECT_FALSE(leaves("10.2.0.54", "wan", 53));
  gate.let_questions_out(NameServers{.list = {*IpAddress::parse("10.2.0.55")}}, 7777);  // somebody else's
  EXPECT_FALSE(leaves("10.2.0.53", "wan", 53));
  EXPECT_FALSE(leaves("10.2.0.55", "wan", 53));
  gate.let_questions_out(NameServers{.list = {}, .anybody = true}, std::nullopt);
  EXPECT_TRUE(leaves("10.2.0.53", "wan", 53));
  gate.let_questions_out(std::nullopt, std::nullopt);
  EXPECT_FALSE(leaves("10.2.0.53", "wan", 53));
  // A lease is renewed from a socket that is bound to its device (RFC 2131 section 4.4.5).
  EXPECT_TRUE(leaves("10.2.0.53", "wan", 67, "s.bind(('', 68))"));
}

TEST_F(OutwardTest, ARuleThatStandsBeforeOursLeadsElsewhere) {
  ASSERT_TRUE(ask(kAddRoute, "10.0.0.0/8"));
  const auto change = [&](const char* command) {
    ASSERT_EQ(space.shell(command), 0) << command;
    (void)space.in([&] { return network->repair(); });
  };
  EXPECT_FALSE(leaves("10.2.0.5"));
  change("ip rule add to 10.2.0.0/16 lookup main pref 100");
  EXPECT_TRUE(leaves("10.2.0.5"));
  EXPECT_FALSE(leaves("10.3.0.5"));
  change("ip rule add not from 10.9.0.0/16 lookup main pref 50");
  EXPECT_TRUE(leaves("10.3.0.5"));
  change("ip rule del pref 50");
  change("ip rule del pref 100");
  EXPECT_FALSE(leaves("10.2.0.5"));
}

// Each of these once opened the filter for everything.
TEST_F(OutwardTest, ARuleForAFewPacketsOpensNothingForTheOthers) {
  ASSERT_TRUE(ask(kAddRoute, "10.0.0.0/8"));
  struct Case {
    const char* rule;
    const char* text;
    const char* with;  // what a program must do to be meant
  };
  const Case cases[] = {
      {"fwmark 0x77 lookup 100", "from all fwmark 0x77 lookup 100", "s.setsockopt(1, 36, 0x77)"},
      {"fwmark 0x200/0xf00 lookup 100", "from all fwmark 0x200/0xf00 lookup 100", "s.setsockopt(1, 36, 0x1201)"},
      {"not fwmark 0/0xff lookup main", "not from all fwmark 0x0/0xff lookup main", "s.setsockopt(1, 36, 0x301)"},
      {"ipproto udp dport 7-9 sport 777 lookup 100", "from all sport 777 dport 7-9 ipproto 17 lookup 100",
       "s.bind(('', 777))"},
      {"uidrange 4711-4712 lookup 100", "from all uidrange 4711-4712 lookup 100",
       "import os\nos.setresuid(0, 4712, 0)\ns2 = s\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
       "s.connect(('192.0.2.254', 9))\ns.setsockopt(1, 25, b'wan')"},
      {"lookup main suppress_prefixlength 0", "from all lookup main suppress_prefixlength 0", nullptr}};
  for (const auto& one : cases) {
    ASSERT_EQ(space.shell("ip rule add pref 100 " + std::string(one.rule)), 0);
    (void)space.in([&] { return network->repair(); });
    EXPECT_NE(log.text.find(one.text), std::string::npos) << one.text << "\n" << log.text;
    EXPECT_FALSE(leaves("10.2.0.5")) << one.rule;
    if (one.with != nullptr) {
      EXPECT_TRUE(leaves("10.2.0.5", "wan", 9, one.with)) << one.rule;
    }
    ASSERT_EQ(space.shell("ip rule del pref 100"), 0);
    (void)space.in([&] { return network->repair(); });
  }
}

TEST_F(OutwardTest, ItIsPutBackAndTakenOver) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_FALSE(leaves("10.2.0.5"));
  EXPECT_EQ(held(), 1U);
  ASSERT_EQ(space.shell("nft flush ruleset"), 0);
  EXPECT_EQ(held(), 1U);  // and it is looked at
  EXPECT_FALSE(leaves("10.2.0.5"));
  EXPECT_EQ(held(), 2U);
  // A killed monitor's stands, and what it held stays held until the new ike has said what it needs.
  network.reset();
  ASSERT_NE(
      space.shell("ip route get 10.2.0.5 oif wan 2>&1 | grep -q unreachable; nft list table inet cygnet_4359 | grep "
                  "-q nothing"),
      0);
  begin();
  space.in([&] { network->begin_sync(); });
  EXPECT_FALSE(leaves("10.2.0.5"));
  space.in([&] { network->end_sync(); });
  EXPECT_TRUE(leaves("10.2.0.5"));
  space.in([&] { network->close(); });
  EXPECT_EQ(space.shell("test -z \"$(nft list tables)\""), 0);
}

// Their way back is a route that holds, or one that refuses.
TEST_F(OutwardTest, SourcesWhoseRouteLeadsIntoNoDeviceDoNotComeIn) {
  const auto from = [](const char* source) { return std::string(source) + " 10.1.0.1 17 23282329000c0000deadbeef"; };
  space.in([&] { network->set_bounds({.pools = {IpRange::of(*IpPrefix::parse("10.9.0.0/24"))}}); });
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddPool, "10.9.0.0/24"));
  EXPECT_EQ(refused({from("10.2.0.5"), from("10.9.0.7"), from("10.3.0.5")}), 2U);
  ASSERT_EQ(space.shell("ip link set ipsec0 down"), 0);
  EXPECT_EQ(refused({from("10.2.0.5"), from("10.9.0.7"), from("10.3.0.5")}), 2U);
  ASSERT_EQ(space.shell("ip link del ipsec0"), 0);
  EXPECT_EQ(refused({from("10.2.0.5"), from("10.9.0.7"), from("10.3.0.5")}), 2U);
}

TEST_F(OutwardTest, MoreThanOneTextTakesIsToldInSeveral) {
  using Way = OutwardGate::Way;
  constexpr std::uint32_t kCount = OutwardGate::kMostTogether * 2 + 5;
  auto& gate = network->gate();
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const IpPrefix host = IpPrefix::host(IpAddress::v4(0x0a000000 + i));
    gate.want_way(host, Way::kHeld);
  }
  gate.want_way(*IpPrefix::parse("10.9.0.0/24"), Way::kLetOut);
  int texts = 0;
  while (gate.unsettled() && texts < 10) {
    space.in([&] { gate.settle(); });
    ++texts;
    EXPECT_EQ(gate.has_more(), gate.unsettled());
    // What lets out is in the first.
    EXPECT_EQ(space.shell("nft list set inet cygnet_4359 out4_24 | grep -q 10.9.0.0"), 0);
  }
  EXPECT_EQ(texts, 3);
  EXPECT_EQ(gate.problem(), "");
  EXPECT_FALSE(leaves("10.0.0.1"));
  EXPECT_FALSE(leaves(IpAddress::v4(0x0a000000 + kCount - 1).to_string()));
  EXPECT_TRUE(leaves(IpAddress::v4(0x0a000000 + kCount).to_string()));
}

TEST_F(OutwardTest, NetworksOnALinkThatATunnelCoversAreTold) {
  ASSERT_EQ(space.shell("ip route add 10.8.0.0/24 dev lan && ip route add 10.9.0.0/24 via 10.1.0.77 && "
                        "ip route add 10.10.0.0/24 dev lan proto dhcp && ip route add 10.1.0.9/32 dev wan && "
                        "ip -6 route add 2001:db8:8::/64 dev lan"),
            0);
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  auto now = Instant{} + std::chrono::hours(1);
  const auto covered = [&] {
    now += std::chrono::minutes(1);
    space.in([&] { network->look_for_covered_links(now); });
    std::string out;
    for (const auto& [prefix, device] : network->covered_links()) out += prefix.to_string() + ' ' + device + '\n';
    return out;
  };
  EXPECT_EQ(covered(), "10.8.0.0/24 lan\n");
  const auto told = std::string("10.8.0.0/24 (lan) is on a link, and no address of this machine lies in it");
  const auto at = log.text.find(told);
  EXPECT_NE(at, std::string::npos) << log.text;
  EXPECT_NE(log.text.find("ip rule add to 10.8.0.0/24 lookup main priority 105"), std::string::npos) << log.text;
  ASSERT_TRUE(ask(kAddRoute, "::/0"));
  EXPECT_EQ(covered(), "10.8.0.0/24 lan\n2001:db8:8::/64 lan\n");
  EXPECT_EQ(log.text.find(told, at + 1), std::string::npos) << log.text;
  ASSERT_TRUE(ask(kAddRoute, "10.8.0.0/24"));
  EXPECT_EQ(covered(), "2001:db8:8::/64 lan\n");
  // Without a change nobody looks, and soon after a look neither.
  ASSERT_TRUE(ask(kRemoveRoute, "::/0"));
  space.in([&] { network->look_for_covered_links(now + std::chrono::seconds(1)); });
  EXPECT_EQ(network->covered_links().size(), 1U);
  EXPECT_EQ(covered(), "");
}

}  // namespace
}  // namespace cygnet::daemon
