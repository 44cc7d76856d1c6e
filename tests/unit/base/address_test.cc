// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <gtest/gtest.h>

namespace cygnet {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
IpPrefix net(std::string_view text) { return IpPrefix::parse(text).value(); }

TEST(Address, ParsesBothFamiliesAndNothingElse) {
  EXPECT_EQ(ip("192.0.2.1").to_string(), "192.0.2.1");
  EXPECT_EQ(ip("2001:DB8:0::1").to_string(), "2001:db8::1");
  for (const auto* bad : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "2001:db8::1::2", "host", "1.2.3.4/32", " 1.2.3.4"})
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
}

TEST(Address, OrdersByFamilyThenNumber) {
  EXPECT_LT(ip("10.0.0.1"), ip("10.0.0.2"));
  EXPECT_LT(ip("9.255.255.255"), ip("10.0.0.0"));
  EXPECT_LT(ip("255.255.255.255"), ip("::"));
  EXPECT_LT(ip("2001:db8::ff"), ip("2001:db8::1:0"));
}

TEST(Address, NextAndPreviousCarryAndStopAtTheEnds) {
  EXPECT_EQ(ip("10.0.0.255").next(), ip("10.0.1.0"));
  EXPECT_EQ(ip("10.0.1.0").previous(), ip("10.0.0.255"));
  EXPECT_FALSE(ip("255.255.255.255").next());
  EXPECT_FALSE(ip("::").previous());
}

TEST(Address, KnowsItsScopes) {
  EXPECT_TRUE(ip("224.0.0.5").is_multicast());
  EXPECT_TRUE(ip("ff02::1").is_multicast());
  EXPECT_TRUE(ip("fe80::1").is_link_local());
  EXPECT_TRUE(ip("169.254.1.1").is_link_local());
  EXPECT_TRUE(ip("127.1.2.3").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
  EXPECT_TRUE(ip("::").is_unspecified());
}

TEST(Prefix, ParsesLengthsExactly) {
  EXPECT_EQ(net("10.1.2.3/8").network(), ip("10.0.0.0"));
  EXPECT_EQ(net("10.1.2.3/8").broadcast(), ip("10.255.255.255"));
  EXPECT_EQ(net("10.1.2.3").length, 32);
  EXPECT_EQ(net("2001:db8::/33").broadcast(), ip("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
  for (const auto* bad : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "/8"})
    EXPECT_FALSE(IpPrefix::parse(bad)) << bad;
}

TEST(Range, IntersectsOnlyWithinAFamily) {
  const IpRange a{ip("10.0.0.10"), ip("10.0.0.20")};
  const IpRange b{ip("10.0.0.15"), ip("10.0.0.30")};
  EXPECT_EQ(a.intersect(b), (IpRange{ip("10.0.0.15"), ip("10.0.0.20")}));
  EXPECT_FALSE(a.intersect({ip("10.0.0.21"), ip("10.0.0.22")}));
  EXPECT_FALSE(a.intersect(IpRange::all(Family::kV6)));
}

TEST(Range, SplitsIntoFewestPrefixes) {
  const IpRange r{ip("10.0.0.1"), ip("10.0.0.6")};
  std::vector<std::string> texts;
  for (const auto& p : r.to_prefixes()) texts.push_back(p.to_string());
  EXPECT_EQ(texts, (std::vector<std::string>{"10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"}));
  EXPECT_EQ(IpRange::all(Family::kV4).to_prefixes().size(), 1U);
  EXPECT_EQ(IpRange::all(Family::kV6).to_prefixes().size(), 1U);
  EXPECT_TRUE((IpRange{ip("10.0.0.2"), ip("10.0.0.1")}).to_prefixes().empty());
}

TEST(Range, PrintsAsPrefixWhereItIsOne) {
  EXPECT_EQ(IpRange::of(net("10.1.0.0/16")).to_string(), "10.1.0.0/16");
  EXPECT_EQ((IpRange{ip("10.0.0.1"), ip("10.0.0.6")}).to_string(), "10.0.0.1-10.0.0.6");
}

TEST(EndpointText, BracketsIpv6) {
  EXPECT_EQ((Endpoint{ip("192.0.2.1"), 500}).to_string(), "192.0.2.1:500");
  EXPECT_EQ((Endpoint{ip("2001:db8::1"), 4500}).to_string(), "[2001:db8::1]:4500");
}

}  // namespace
}  // namespace cygnet
