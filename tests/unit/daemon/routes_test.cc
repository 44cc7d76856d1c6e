// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/routes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/monitor/network.h"
#include "daemon/pool_prefixes.h"

namespace cygnet::daemon {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }
IpPrefix prefix(const char* text) { return *IpPrefix::parse(text); }

model::PolicySpec policy(std::uint32_t id, const char* local, const char* remote) {
  return {.id = model::PolicyId(id),
          .local = {*model::TrafficSelector::parse(local)},
          .remote = {*model::TrafficSelector::parse(remote)}};
}

class RoutesTest : public ::testing::Test {
 protected:
  static std::string text(const NetworkRequest& r) {
    static constexpr std::array kWords{"+route ", "-route ", "+address ", "-address ", "+proxy ",
                                       "-proxy ", "+pool ",  "-pool ",    "+clear ",   "-clear ",
                                       "+guard ", "-guard ", "+exempt ",  "-exempt "};
    if (r.what >= NetworkRequest::What::kAddGuard) {
      return kWords.at(static_cast<std::size_t>(r.what)) + r.guarded_remote.to_string() + " to " +
             r.guarded_local.to_string();
    }
    return kWords.at(static_cast<std::size_t>(r.what)) + r.prefix.to_string() + " " + r.device +
           (r.source ? " src " + r.source->to_string() : "");
  }
  std::vector<std::string> sent;
  Routes routes{[this](const NetworkRequest& r) { sent.push_back(text(r)); }};
  const std::vector<IpAddress> own{ip("127.0.0.1"), ip("192.0.2.1"), ip("10.1.0.1")};
};

TEST_F(RoutesTest, TheOwnAddressInsideTheProtectedNetworkIsTheSource) {
  routes.add(policy(1, "10.1.0.0/16", "10.2.0.0/16"), {}, own, 0);
  EXPECT_EQ(sent, std::vector<std::string>{"+route 10.2.0.0/16 ipsec0 src 10.1.0.1"});
}

TEST_F(RoutesTest, NoAddressInsideNoSource) {
  routes.add(policy(1, "10.9.0.0/16", "10.2.0.0/16"), {}, own, 0);
  EXPECT_EQ(sent, std::vector<std::string>{"+route 10.2.0.0/16 ipsec0"});
}

TEST_F(RoutesTest, AConfiguredSourceIsSetBeforeTheRouteAndTakenBackAfterIt) {
  const auto p = policy(1, "10.5.0.1/32", "0.0.0.0/0");
  routes.add(p, {ip("10.5.0.1")}, own, 0);
  routes.remove(p);
  EXPECT_EQ(sent, (std::vector<std::string>{"+address 10.5.0.1/32 ipsec0", "+route 0.0.0.0/0 ipsec0 src 10.5.0.1",
                                            "-route 0.0.0.0/0 ipsec0 src 10.5.0.1", "-address 10.5.0.1/32 ipsec0"}));
}

TEST_F(RoutesTest, WhatTheMonitorCouldNotSetIsAskedForAgainByWhoeverNeedsIt) {
  const auto waiting = policy(1, "10.1.0.0/16", "10.2.0.0/16");
  const auto other = policy(2, "10.1.0.0/16", "10.3.0.0/16");
  routes.add(waiting, {}, own, 0);
  routes.add(other, {}, own, 0);
  EXPECT_FALSE(routes.lacks_something(waiting.id));
  EXPECT_EQ(routes.on_done({2, 2, {{1, "no memory"}}}), (Routes::Unplaced{{waiting.id, "no memory"}}));
  EXPECT_TRUE(routes.lacks_something(waiting.id));
  EXPECT_FALSE(routes.lacks_something(other.id) || routes.lacks_nothing());
  sent.clear();
  routes.add(other, {}, own, 0);
  EXPECT_TRUE(sent.empty());
  routes.add(policy(3, "10.1.0.0/16", "10.2.0.0/16"), {}, own, 0);
  EXPECT_EQ(sent, std::vector<std::string>{"+route 10.2.0.0/16 ipsec0 src 10.1.0.1"});
  // Until the answer comes nobody asks again; then all who need it are told.
  routes.add(waiting, {}, own, 0);
  EXPECT_EQ(sent.size(), 1U);
  EXPECT_EQ(routes.on_done({3, 1, {{3, "still none"}}}),
            (Routes::Unplaced{{waiting.id, "still none"}, {model::PolicyId(3), "still none"}}));
  routes.add(waiting, {}, own, 0);
  EXPECT_TRUE(routes.on_done({4, 1, {}}).empty());
  EXPECT_TRUE(routes.lacks_nothing() && !routes.lacks_something(waiting.id));
}

TEST_F(RoutesTest, AnAnswerThatIsLateIsOfNoInterest) {
  const auto p = policy(1, "10.5.0.1/32", "10.2.0.0/16");
  routes.add(p, {ip("10.5.0.1")}, own, 0);
  routes.remove(p);
  EXPECT_TRUE(routes.on_done({2, 2, {{1, "no"}, {2, "no"}}}).empty());
  routes.add(p, {ip("10.5.0.1")}, own, 0);
  // Numbers 3 and 4 were to take it back.
  EXPECT_EQ(routes.on_done({6, 4, {{5, "not an address for us"}}}),
            (Routes::Unplaced{{p.id, "not an address for us"}}));
  routes.remove(p);
  EXPECT_TRUE(routes.lacks_nothing());
}

TEST(Coarser, ManyPiecesAreRoutedAsConfigured) {
  auto p = policy(1, "fd01::/64", "fd02::/64");
  const model::TrafficSelectors configured{*model::TrafficSelector::parse("fd02::/16")};
  EXPECT_FALSE(coarser(p, configured));
  p.remote.clear();
  for (int i = 0; i < 3; ++i) {
    p.remote.push_back({{ip(("fd02:" + std::to_string(i) + "::1").c_str()),
                         ip(("fd02:" + std::to_string(i) + ":ffff:ffff:ffff:ffff:ffff:fffe").c_str())},
                        0,
                        0,
                        65535});
  }
  const auto routed = coarser(p, configured);
  ASSERT_TRUE(routed);
  EXPECT_EQ(routed->remote, configured);
  EXPECT_EQ(routed->local, p.local);
  // Somebody has configured it so.
  EXPECT_FALSE(coarser(p, p.remote));
  EXPECT_FALSE(coarser(p, {}));
  // What passes beside it in the clear is never more than was negotiated.
  p.action = model::PolicyAction::kBypass;
  EXPECT_TRUE(coarser(p, configured)->remote.empty());
}

TEST(PlaceBefore, RulesRightBeforeOursAreTheKernels) {
  EXPECT_EQ(place_before({}, {}, 210), std::nullopt);
  EXPECT_EQ(place_before({209}, {}, 210), 208U);
  EXPECT_EQ(place_before({208, 209}, {}, 210), 207U);
  EXPECT_EQ(place_before({207, 209}, {208}, 210), 206U);
  EXPECT_EQ(place_before({207, 209}, {206}, 210), 206U);
  EXPECT_EQ(place_before({207}, {206}, 210), 206U);
  EXPECT_EQ(place_before({205, 207}, {206}, 210), 204U);
  // What is ours alone is needed no more; what has a gap behind it is somebody's wish.
  EXPECT_EQ(place_before({}, {208}, 210), std::nullopt);
  EXPECT_EQ(place_before({100, 208}, {}, 210), std::nullopt);
  EXPECT_EQ(place_before({100, 209}, {}, 210), 208U);
  EXPECT_EQ(place_before({1, 2}, {}, 3), std::nullopt);
}

TEST_F(RoutesTest, PoolsAreToldOnceAndTakenBack) {
  const auto first = prefix("10.9.0.0/24");
  const auto second = prefix("2001:db8:9::/64");
  routes.use_pools({{first, "ipsec0"}});
  routes.use_pools({{first, "ipsec0"}});
  EXPECT_EQ(sent, std::vector<std::string>{"+pool 10.9.0.0/24 ipsec0"});
  sent.clear();
  routes.use_pools({{second, "ipsec0"}});
  EXPECT_EQ(sent, (std::vector<std::string>{"-pool 10.9.0.0/24 ipsec0", "+pool 2001:db8:9::/64 ipsec0"}));
  EXPECT_TRUE(routes.facts().empty());
}

TEST(PoolPrefixes, ANetworkIsMeantAsItWasWritten) {
  const auto of = [](const char* text) { return pool_prefixes({model::usable_range(prefix(text)), text}); };
  EXPECT_EQ(of("10.9.0.0/24"), std::vector{prefix("10.9.0.0/24")});
  EXPECT_EQ(of("10.9.0.7"), std::vector{prefix("10.9.0.7/32")});
  EXPECT_EQ(of("2001:db8:9::/64"), std::vector{prefix("2001:db8:9::/64")});
  EXPECT_EQ(pool_prefixes({{ip("10.9.0.6"), ip("10.9.0.9")}, "10.9.0.6-10.9.0.9"}),
            (std::vector{prefix("10.9.0.6/31"), prefix("10.9.0.8/31")}));
}

TEST_F(RoutesTest, ARouteStaysUntilItsLastPolicyGoes) {
  const auto first = policy(1, "10.1.0.0/16", "10.2.0.0/16");
  const auto second = policy(2, "10.1.0.0/16", "10.2.0.0/16");
  routes.add(first, {}, own, 0);
  routes.add(second, {}, own, 0);
  routes.remove(first);
  EXPECT_EQ(sent.size(), 1U);
  routes.remove(second);
  EXPECT_EQ(sent.back(), "-route 10.2.0.0/16 ipsec0 src 10.1.0.1");
  EXPECT_TRUE(routes.facts().empty());
}

TEST_F(RoutesTest, SingleAddressesArePutOnTheNeighboursList) {
  auto p = policy(1, "10.1.0.0/16", "10.1.0.200/32");
  p.remote.push_back(*model::TrafficSelector::parse("10.7.0.0/24"));
  routes.add(p, {}, own, 0, true);
  routes.remove(p);
  EXPECT_EQ(sent, (std::vector<std::string>{"+route 10.1.0.200/32 ipsec0 src 10.1.0.1", "+proxy 10.1.0.200/32 ipsec0",
                                            "+route 10.7.0.0/24 ipsec0 src 10.1.0.1",
                                            "-route 10.1.0.200/32 ipsec0 src 10.1.0.1",
                                            "-route 10.7.0.0/24 ipsec0 src 10.1.0.1", "-proxy 10.1.0.200/32 ipsec0"}));
}

// In one step: between two, packets would leave in the clear.
TEST_F(RoutesTest, AnotherAddressOfThisMachineIsTheSourceFromThenOn) {
  const auto p = policy(1, "10.1.0.0/16", "10.2.0.0/16");
  routes.add(p, {}, own, 0);
  routes.add(p, {}, own, 0);
  EXPECT_EQ(sent.size(), 1U);
  routes.add(p, {}, {ip("10.1.0.2")}, 0);
  routes.add(p, {}, {}, 1300);
  EXPECT_EQ(sent, (std::vector<std::string>{"+route 10.2.0.0/16 ipsec0 src 10.1.0.1",
                                            "+route 10.2.0.0/16 ipsec0 src 10.1.0.2", "+route 10.2.0.0/16 ipsec0"}));
}

TEST_F(RoutesTest, WhatAPolicyDoesNotNeedAnyMoreIsGivenBack) {
  auto p = policy(1, "10.5.0.0/24", "10.1.0.200/32");
  routes.add(p, {ip("10.5.0.1")}, own, 0, true);
  sent.clear();
  routes.add(p, {ip("10.5.0.2")}, own, 0, false);
  EXPECT_EQ(sent, (std::vector<std::string>{"+address 10.5.0.2/32 ipsec0", "+route 10.1.0.200/32 ipsec0 src 10.5.0.2",
                                            "-address 10.5.0.1/32 ipsec0", "-proxy 10.1.0.200/32 ipsec0"}));
  sent.clear();
  p.device = "ipsec7";
  routes.add(p, {ip("10.5.0.2")}, own, 0, false);
  EXPECT_EQ(sent,
            (std::vector<std::string>{"+address 10.5.0.2/32 ipsec7", "+route 10.1.0.200/32 ipsec7 src 10.5.0.2",
                                      "-route 10.1.0.200/32 ipsec0 src 10.5.0.2", "-address 10.5.0.2/32 ipsec0"}));
  sent.clear();
  routes.remove(p);
  EXPECT_EQ(sent.size(), 2U);
  EXPECT_TRUE(routes.facts().empty());
}

TEST_F(RoutesTest, OfSeveralPoliciesWithOneRouteTheNewestDecides) {
  const auto first = policy(1, "10.1.0.0/16", "10.2.0.0/16");
  const auto second = policy(2, "10.3.0.0/16", "10.2.0.0/16");
  routes.add(first, {ip("10.1.0.7")}, own, 0);
  routes.add(second, {ip("10.3.0.7")}, own, 0);
  sent.clear();
  // Looked at again, in any order, they do not take it from each other.
  for (const auto* p : {&first, &second, &first})
    routes.add(*p, {p == &first ? ip("10.1.0.7") : ip("10.3.0.7")}, own, 0);
  EXPECT_EQ(sent, std::vector<std::string>());
  routes.remove(second);
  EXPECT_EQ(sent, (std::vector<std::string>{"+route 10.2.0.0/16 ipsec0 src 10.1.0.7", "-address 10.3.0.7/32 ipsec0"}));
}

// The address goes with the SA that brought it: a route with it as its source would be refused.
TEST_F(RoutesTest, WhatWaitsForPacketsHasTheSourceOfTheTunnelWhileItIsUp) {
  const auto waiting = policy(1, "0.0.0.0/0", "10.2.0.0/16");
  const auto up = policy(2, "10.60.0.12/32", "10.2.0.0/16");
  routes.add(waiting, {}, {}, 0);
  routes.add(up, {ip("10.60.0.12")}, {}, 0);
  routes.add(waiting, {}, {}, 0);
  routes.remove(up);
  EXPECT_EQ(sent, (std::vector<std::string>{"+route 10.2.0.0/16 ipsec0", "+address 10.60.0.12/32 ipsec0",
                                            "+route 10.2.0.0/16 ipsec0 src 10.60.0.12", "+route 10.2.0.0/16 ipsec0",
                                            "-address 10.60.0.12/32 ipsec0"}));
}

TEST_F(RoutesTest, ARangeBecomesItsPrefixes) {
  routes.add(policy(1, "10.1.0.0/16", "10.2.0.1-10.2.0.4"), {}, own, 0);
  EXPECT_EQ(sent.size(), 3U);  // .1/32, .2/31, .4/32
}

TEST_F(RoutesTest, WhatPassesInTheClearNeedsNoRoute) {
  auto p = policy(1, "10.1.0.0/16", "10.2.0.0/16");
  p.action = model::PolicyAction::kBypass;
  routes.add(p, {}, own, 0);
  EXPECT_EQ(sent, std::vector<std::string>{"+clear 10.2.0.0/16 ipsec0"});
  routes.remove(p);
  EXPECT_EQ(sent.back(), "-clear 10.2.0.0/16 ipsec0");
}

TEST_F(RoutesTest, WhatIsProtectedInAClearNetworkIsGuarded) {
  const auto udp = policy(1, "10.1.0.0/16", "10.2.0.0/16[udp/53]");
  auto rest = policy(2, "0.0.0.0/0", "10.2.0.0/16");
  rest.action = model::PolicyAction::kBypass;
  routes.add(udp, {}, {}, 0);
  routes.add(rest, {}, {}, 0);
  EXPECT_EQ(sent, (std::vector<std::string>{"+route 10.2.0.0/16 ipsec0", "+guard 10.2.0.0/16[udp/53] to 10.1.0.0/16",
                                            "+clear 10.2.0.0/16 ipsec0"}));
  routes.remove(udp);
  EXPECT_EQ(sent[3], "-guard 10.2.0.0/16[udp/53] to 10.1.0.0/16");
}

// In whichever order they come, and whichever of the networks is the wider one.
TEST_F(RoutesTest, ANetworkThatIsProtectedAsAWholeStaysSoBesideAClearOne) {
  for (const auto& [whole, clear] : {std::pair("10.0.0.0/8", "10.2.0.0/16"), std::pair("10.2.3.0/24", "10.2.0.0/16"),
                                     std::pair("10.2.0.0/16", "10.2.0.0/16")}) {
    for (const bool whole_first : {true, false}) {
      SCOPED_TRACE(whole);
      routes = Routes([this](const NetworkRequest& r) { sent.push_back(text(r)); });
      sent.clear();
      const auto all = policy(1, "10.1.0.0/16", whole);
      auto rest = policy(2, "0.0.0.0/0", clear);
      rest.action = model::PolicyAction::kBypass;
      for (const auto& p : whole_first ? std::vector{all, rest} : std::vector{rest, all}) routes.add(p, {}, {}, 0);
      EXPECT_EQ(sent.back(), std::string("+guard ") + whole + " to 0.0.0.0/0");
      routes.remove(all);
      EXPECT_EQ(std::ranges::count(sent, std::string("-guard ") + whole + " to 0.0.0.0/0"), 1);
    }
  }
}

TEST(ThrowPrefixes, AttachedNetworksInsideAWiderTunnelledOneStayReachable) {
  const std::vector<IpPrefix> connected{prefix("10.1.0.0/24"), prefix("192.168.1.0/24"), prefix("10.2.0.0/16")};
  EXPECT_EQ(throw_prefixes({prefix("10.0.0.0/8")}, connected),
            (std::set<IpPrefix>{prefix("10.1.0.0/24"), prefix("10.2.0.0/16")}));
  EXPECT_EQ(throw_prefixes({prefix("0.0.0.0/0")}, connected).size(), 3U);
}

TEST(ThrowPrefixes, AnEqualOrNarrowerTunnelledNetworkWins) {
  const std::vector<IpPrefix> connected{prefix("10.1.0.0/24")};
  EXPECT_TRUE(throw_prefixes({prefix("10.1.0.0/24")}, connected).empty());
  EXPECT_TRUE(throw_prefixes({prefix("10.0.0.0/8"), prefix("10.1.0.0/24")}, connected).empty());
  // The narrower one has a route of its own beside the throw route, and wins by its length.
  EXPECT_EQ(throw_prefixes({prefix("10.0.0.0/8"), prefix("10.1.0.128/25")}, connected).size(), 1U);
}

TEST(ThrowPrefixes, FamiliesDoNotMix) {
  EXPECT_TRUE(throw_prefixes({prefix("0.0.0.0/0")}, {prefix("fd00::/8")}).empty());
  EXPECT_EQ(throw_prefixes({prefix("::/0")}, {prefix("fe80::/64")}).size(), 1U);
}

}  // namespace
}  // namespace cygnet::daemon
