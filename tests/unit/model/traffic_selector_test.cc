// SPDX-License-Identifier: Apache-2.0
#include "model/traffic_selector.h"

#include <gtest/gtest.h>

namespace cygnet::model {
namespace {

TrafficSelector ts(std::string_view text) {
  const auto out = TrafficSelector::parse(text);
  EXPECT_TRUE(out) << text;
  return out.value_or(TrafficSelector{});
}
TrafficSelectors list(std::initializer_list<std::string_view> texts) {
  TrafficSelectors out;
  for (const auto t : texts) out.push_back(ts(t));
  return out;
}

TEST(TrafficSelector, PrintsWhatItParsed) {
  for (const auto* text : {"10.1.0.0/16", "10.1.0.0/16[tcp/80]", "10.0.0.1-10.0.0.9[udp/1000-2000]",
                           "::/0[ipv6-icmp/128]", "0.0.0.0/0[icmp/8.1]", "::/0[mobility-header/5]", "10.0.0.0/8[gre]",
                           "10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[99]"}) {
    EXPECT_EQ(ts(text).to_string(), text);
  }
  EXPECT_EQ(ts("192.0.2.1").to_string(), IpRange::of(*IpAddress::parse("192.0.2.1")).to_string());
}

TEST(TrafficSelector, RefusesNonsense) {
  for (const auto* text : {"", "10.1.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.0/8[", "10.0.0.0/8[tcp",
                           "10.0.0.0/8[tcp/70000]", "10.0.0.0/8[tcp/9-8]", "10.0.0.0/8[/80]", "10.0.0.0/8[nonsense]",
                           "10.0.0.0/8[icmp/256]", "10.0.0.0/8]"}) {
    EXPECT_FALSE(TrafficSelector::parse(text)) << text;
  }
}

TEST(TrafficSelector, IcmpTypeFillsTheWholeCodeRange) {
  const auto echo = ts("0.0.0.0/0[icmp/8]");
  EXPECT_EQ(echo.port_first, 0x0800);
  EXPECT_EQ(echo.port_last, 0x08ff);
}

TEST(TrafficSelector, ContainsPacket) {
  const auto web = ts("10.1.0.0/16[tcp/80]");
  EXPECT_TRUE(web.contains(*IpAddress::parse("10.1.2.3"), 6, 80));
  EXPECT_FALSE(web.contains(*IpAddress::parse("10.1.2.3"), 6, 81));
  EXPECT_FALSE(web.contains(*IpAddress::parse("10.1.2.3"), 17, 80));
  EXPECT_FALSE(web.contains(*IpAddress::parse("10.2.2.3"), 6, 80));
  EXPECT_FALSE(web.contains(*IpAddress::parse("2001:db8::1"), 6, 80));
}

TEST(TrafficSelector, OpaqueIsInsideAnyButNotInsideAList) {
  EXPECT_TRUE(ts("10.0.0.0/8[tcp]").contains(ts("10.0.0.0/8[tcp/opaque]")));
  EXPECT_FALSE(ts("10.0.0.0/8[tcp/1-65535]").contains(ts("10.0.0.0/8[tcp/opaque]")));
  EXPECT_FALSE(ts("10.0.0.0/8[tcp/opaque]").contains(ts("10.0.0.0/8[tcp/80]")));
  EXPECT_EQ(ts("10.0.0.0/8[tcp]").intersect(ts("10.1.0.0/16[tcp/opaque]"))->to_string(), "10.1.0.0/16[tcp/opaque]");
  EXPECT_FALSE(ts("10.0.0.0/8[tcp/80]").intersect(ts("10.1.0.0/16[tcp/opaque]")));
}

TEST(TrafficSelector, IntersectTakesTheTighterOfEachField) {
  const auto both = ts("10.0.0.5-10.0.0.20[tcp/100-300]").intersect(ts("10.0.0.16/28[tcp/200-400]"));
  ASSERT_TRUE(both);
  EXPECT_EQ(both->to_string(), "10.0.0.16-10.0.0.20[tcp/200-300]");
  EXPECT_EQ(ts("10.0.0.0/8").intersect(ts("10.1.0.0/16[udp/53]"))->to_string(), "10.1.0.0/16[udp/53]");
  EXPECT_FALSE(ts("10.0.0.0/8[tcp]").intersect(ts("10.0.0.0/8[udp]")));
  EXPECT_FALSE(ts("10.0.0.0/8").intersect(ts("11.0.0.0/8")));
  EXPECT_FALSE(ts("0.0.0.0/0").intersect(ts("::/0")));
}

TEST(Narrow, EqualSetsStay) {
  const auto set = list({"10.1.0.0/16", "2001:db8:1::/48"});
  EXPECT_EQ(narrow(set, set), set);
}

TEST(Narrow, WideProposalShrinksToPolicy) {
  EXPECT_EQ(to_string(narrow(list({"0.0.0.0/0", "::/0"}), list({"10.1.0.0/16", "10.2.0.0/16", "2001:db8::/32"}))),
            "10.1.0.0/16, 10.2.0.0/16, 2001:db8::/32");
}

TEST(Narrow, PacketInFrontOfItsNetworkMelts) {
  // RFC 7296 section 2.9: the first selector of the initiator may be the packet that triggered the request.
  EXPECT_EQ(to_string(narrow(list({"10.1.0.7[tcp/4711]", "10.1.0.0/16"}), list({"10.0.0.0/8"}))), "10.1.0.0/16");
}

TEST(Narrow, DisjointGivesNothing) {
  EXPECT_TRUE(narrow(list({"10.1.0.0/16"}), list({"10.2.0.0/16"})).empty());
  EXPECT_TRUE(narrow({}, list({"10.2.0.0/16"})).empty());
}

TEST(Narrow, PartialOverlapKeepsTheOverlap) {
  EXPECT_EQ(to_string(narrow(list({"10.0.0.0-10.0.0.200"}), list({"10.0.0.100-10.0.1.0"}))), "10.0.0.100-10.0.0.200");
}

TEST(Narrow, StaysWithinWhatOnePayloadCanCarry) {
  TrafficSelectors many;
  for (std::uint32_t i = 0; i < 200; ++i)
    many.push_back(TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000 + i * 512))));
  TrafficSelectors ports;
  for (std::uint16_t p = 1; p < 100; ++p) ports.push_back({IpRange::all(Family::kV4), 6, p, p});
  EXPECT_EQ(narrow(many, ports).size(), 255U);
}

TEST(Covers, UnionOfNeighboursCoversTheWhole) {
  EXPECT_TRUE(covers(list({"10.0.0.0/9", "10.128.0.0/9"}), list({"10.0.0.0/8"})));
  EXPECT_FALSE(covers(list({"10.0.0.0/9", "10.129.0.0/16"}), list({"10.0.0.0/8"})));
  EXPECT_TRUE(covers(list({"128.0.0.0/1", "0.0.0.0/1"}), list({"0.0.0.0/0"})));
  EXPECT_FALSE(covers(list({"10.0.0.0/9[tcp]", "10.128.0.0/9"}), list({"10.0.0.0/8"})));
  EXPECT_FALSE(covers({}, list({"10.0.0.0/8"})));
  EXPECT_TRUE(covers({}, {}));
}

TEST(IpProtocol, NamesAndNumbers) {
  EXPECT_EQ(parse_ip_protocol("tcp"), 6);
  EXPECT_EQ(parse_ip_protocol("icmpv6"), 58);
  EXPECT_EQ(parse_ip_protocol("47"), 47);
  EXPECT_EQ(parse_ip_protocol("%any"), 0);
  EXPECT_FALSE(parse_ip_protocol("256"));
  EXPECT_FALSE(parse_ip_protocol(""));
  EXPECT_EQ(ip_protocol_name(58), "ipv6-icmp");
  EXPECT_EQ(ip_protocol_name(200), "200");
}

}  // namespace
}  // namespace cygnet::model
