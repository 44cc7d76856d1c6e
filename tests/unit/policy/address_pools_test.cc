// SPDX-License-Identifier: Apache-2.0
#include "policy/address_pools.h"

#include <gtest/gtest.h>

#include <set>

namespace cygnet::policy {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }
model::Identity id(const std::string& name) { return *model::Identity::parse("@" + name); }
model::AddressPool prefix(const char* text) { return {model::usable_range(*IpPrefix::parse(text)), text}; }

class Pools : public ::testing::Test {
 protected:
  Result<IpAddress> ask(const std::string& name, std::uint64_t holder, const char* wish = nullptr,
                        const char* from = "192.0.2.9", Family family = Family::kV4) {
    const auto peer = id(name);
    return pools.assign(
        {list, peer, ip(from), family, wish == nullptr ? std::nullopt : std::optional(ip(wish)), holder});
  }
  std::vector<model::AddressPool> list{prefix("10.9.0.0/29"), prefix("2001:db8:9::/64")};
  AddressPools pools;
};

TEST_F(Pools, SixPeersFillASlash29AndTheSeventhIsTold) {
  std::set<IpAddress> seen;
  for (int i = 0; i < 6; ++i) {
    const auto got = ask("peer" + std::to_string(i), 100U + static_cast<unsigned>(i));
    ASSERT_TRUE(got);
    EXPECT_TRUE(list[0].range.contains(*got));
    EXPECT_NE(got->to_string(), "10.9.0.0");
    EXPECT_NE(got->to_string(), "10.9.0.7");
    seen.insert(*got);
  }
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_EQ(pools.in_use(), 6U);
  for (int again = 0; again < 2; ++again) {
    const auto none = ask("late", 200);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().message, "every address of 10.9.0.0/29 is in use: make the pool larger");
  }
  pools.release(*seen.begin(), 100);
  pools.release(*seen.begin(), 101);
  pools.release(*seen.begin(), 102);
  pools.release(*seen.begin(), 103);
  pools.release(*seen.begin(), 104);
  pools.release(*seen.begin(), 105);
  const auto got = ask("late", 200);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, *seen.begin());
}

// Its packets would go to the one, and those of the other to it.
TEST_F(Pools, WhatIsThisMachinesOrBehindAPeerIsGivenToNobody) {
  model::Connection road{.name = "road"};
  road.remote.pools = list;
  model::Connection printer{.name = "printer"};
  printer.children.push_back({.name = "printer", .remote = {*model::TrafficSelector::parse("10.9.0.2-10.9.0.3")}});
  model::Connection all{.name = "all"};
  all.children.push_back(
      {.name = "all",
       .remote = {*model::TrafficSelector::parse("10.0.0.0/8"), *model::TrafficSelector::parse("0.0.0.0/0")}});
  pools.configure({printer, road, all}, {ip("10.9.0.1"), ip("192.0.2.1"), ip("2001:db8:9::7")});
  std::set<std::string> seen;
  for (unsigned i = 0; i < 3; ++i) {
    const auto got = ask("peer" + std::to_string(i), 100U + i, i == 0 ? "10.9.0.2" : "10.9.0.1");
    ASSERT_TRUE(got);
    seen.insert(got->to_string());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"10.9.0.4", "10.9.0.5", "10.9.0.6"}));
  EXPECT_FALSE(ask("late", 200));
  // What was somebody's before is not given again.
  pools.remember(ip("2001:db8:9::7"), id("carol"), 5);
  EXPECT_NE(*ask("carol", 201, nullptr, "192.0.2.9", Family::kV6), ip("2001:db8:9::7"));
  pools.configure({road});
  EXPECT_TRUE(ask("late", 202));
}

TEST_F(Pools, NetworksOfPeersAtThePoolsEdgesAreSetApart) {
  const auto connection = [](const char* name, const char* remote, std::vector<model::AddressPool> own) {
    model::Connection out{.name = name};
    out.remote.pools = std::move(own);
    out.children.push_back({.name = name, .remote = {*model::TrafficSelector::parse(remote)}});
    return out;
  };
  model::Connection road{.name = "road"};
  list = road.remote.pools = {prefix("10.9.0.0/29")};
  pools.configure({road, connection("low", "10.9.0.0/30", {}), connection("high", "10.9.0.6-10.9.0.20", {})});
  std::set<std::string> seen;
  for (unsigned i = 0; i < 2; ++i) {
    const auto got = ask("peer" + std::to_string(i), 100U + i);
    ASSERT_TRUE(got);
    seen.insert(got->to_string());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"10.9.0.4", "10.9.0.5"}));
  EXPECT_FALSE(ask("late", 200));
  // Its own pool is what a network is written for, though another pool lies around it.
  pools.configure({connection("all", "10.0.0.0/8", {prefix("10.9.0.0/24")}),
                   connection("dept", "10.9.0.0/29", {prefix("10.9.0.0/29")})});
  EXPECT_TRUE(ask("late", 201));
}

TEST_F(Pools, TheSameAddressAgainAlsoInTheNextLife) {
  const auto first = ask("carol", 1);
  ASSERT_TRUE(first);
  pools.release(*first, 1);
  EXPECT_EQ(pools.in_use(), 0U);
  ASSERT_TRUE(ask("dave", 2));
  const auto again = ask("CAROL", 3);  // names compare without case
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *first);
  pools = {};
  const auto reborn = ask("carol", 1);
  ASSERT_TRUE(reborn);
  EXPECT_EQ(*reborn, *first);
}

TEST_F(Pools, WishesAreGrantedWithinThePoolOnly) {
  EXPECT_EQ(ask("a", 1, "10.9.0.5")->to_string(), "10.9.0.5");
  EXPECT_NE(ask("b", 2, "10.9.0.5")->to_string(), "10.9.0.5");  // somebody else's
  EXPECT_TRUE(list[0].range.contains(*ask("c", 3, "10.1.0.1")));
  EXPECT_NE(ask("d", 4, "10.9.0.7")->to_string(), "10.9.0.7");  // broadcast
}

TEST_F(Pools, OnePeerTwice) {
  const auto first = ask("a", 1);
  // Make before break: the same place, and it names its address.
  EXPECT_EQ(*ask("a", 2, first->to_string().c_str()), *first);
  pools.release(*first, 1);
  EXPECT_EQ(pools.in_use(), 1U);
  // Another device of the same name elsewhere.
  EXPECT_NE(*ask("a", 3, first->to_string().c_str(), "198.51.100.7"), *first);
  pools.release(*first, 2);
  EXPECT_EQ(pools.in_use(), 1U);
}

TEST_F(Pools, OneIdentityHoweverOftenItComesLeavesAddressesForOthers) {
  list = {prefix("10.9.0.0/28")};  // 14 addresses: three are a quarter
  std::set<IpAddress> seen;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto wish = "10.9.0." + std::to_string(1 + i % 14);
    const auto from = "192.0.2." + std::to_string(1 + i);
    const auto got = ask("greedy", i, i % 2 == 0 ? nullptr : wish.c_str(), from.c_str());
    ASSERT_TRUE(got);
    seen.insert(*got);
  }
  EXPECT_EQ(seen.size(), 3U);
  const auto other = ask("other", 100);
  ASSERT_TRUE(other);
  EXPECT_FALSE(seen.contains(*other));
}

TEST_F(Pools, RememberedAddressesDoNotRaiseAnIdentitysShare) {
  list = {prefix("10.9.0.0/28")};
  const auto round = [&](int first) {
    std::set<IpAddress> seen;
    for (int i = 0; i < 3; ++i) {
      const auto wish = "10.9.0." + std::to_string(first + i);
      seen.insert(*ask("greedy", 1000U + static_cast<unsigned>(first + i), wish.c_str()));
    }
    return seen;
  };
  for (int first = 1; first < 13; first += 3) {
    for (const auto& address : round(first)) {
      for (int i = 0; i < 3; ++i) pools.release(address, 1000U + static_cast<unsigned>(first + i));
    }
  }
  EXPECT_EQ(pools.leases().size(), 12U);
  std::set<IpAddress> held;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto wish = "10.9.0." + std::to_string(1 + i % 14);
    held.insert(*ask("greedy", i, i % 2 == 0 ? nullptr : wish.c_str(), ("192.0.2." + std::to_string(1 + i)).c_str()));
  }
  EXPECT_EQ(held.size(), 3U);
}

TEST_F(Pools, AFixedAddressIsForAllWhomItsNameCovers) {
  model::Connection everybody, by_dn;
  everybody.remote.id = id("*.corp.example");
  everybody.remote.pools.push_back({IpRange::of(ip("10.9.0.5")), "10.9.0.5"});
  by_dn.remote.id = model::Identity::parse("C=DE, O=Example, CN=alice");
  by_dn.remote.pools.push_back({IpRange::of(ip("10.9.0.6")), "10.9.0.6"});
  pools.configure({everybody, by_dn});
  // As many authorities write names: PrintableString where ours are UTF8String.
  auto alice = *by_dn.remote.id;
  for (std::size_t i = 3; i < alice.data.size(); ++i) {
    // Behind the last octet of the attribute's type, 2.5.4.x.
    if (alice.data[i - 3] == 0x55 && alice.data[i - 2] == 0x04 && alice.data[i] == 0x0c) alice.data[i] = 0x13;
  }
  ASSERT_NE(alice, *by_dn.remote.id);
  const auto fixed = [&](const model::Identity& peer, const model::Connection& c, std::uint64_t holder) {
    return pools.assign({c.remote.pools, peer, ip("192.0.2.9"), Family::kV4, std::nullopt, holder});
  };
  EXPECT_FALSE(fixed(id("mallory.example"), everybody, 1));
  EXPECT_FALSE(fixed(id("a.corp.example"), by_dn, 1));
  const auto first = fixed(id("a.corp.example"), everybody, 1);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->to_string(), "10.9.0.5");
  const auto second = fixed(alice, by_dn, 2);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->to_string(), "10.9.0.6");
}

TEST_F(Pools, StaticLeasesAreNobodyElses) {
  model::Connection c;
  c.remote.id = id("carol");
  for (const auto* a : {"10.9.0.1", "10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5"})
    c.remote.pools.push_back({IpRange::of(ip(a)), a});
  pools.configure({c});
  EXPECT_EQ(ask("dave", 1)->to_string(), "10.9.0.6");
  EXPECT_FALSE(ask("erin", 2, "10.9.0.3"));
  EXPECT_EQ(ask("carol", 3, "10.9.0.3")->to_string(), "10.9.0.3");
}

TEST_F(Pools, NoIpv6AddressEndsInColons) {
  list = {prefix("2001:db8:9::/96"), {{ip("fd00:1::"), ip("fd00:1::1")}, "fd00:1::-fd00:1::1"}};
  std::erase_if(list, [](const auto& p) { return p.text.starts_with("2001"); });
  EXPECT_EQ(ask("a", 1, "fd00:1::", "192.0.2.9", Family::kV6)->to_string(), "fd00:1::1");
  EXPECT_FALSE(ask("b", 2, nullptr, "192.0.2.9", Family::kV6));
}

TEST_F(Pools, AnAbsentPeersAddressGoesToANewcomer) {
  std::vector<IpAddress> had;
  for (unsigned i = 0; i < 6; ++i) had.push_back(*ask("peer" + std::to_string(i), i));
  for (unsigned i = 0; i < 6; ++i) pools.release(had[i], i);
  ASSERT_TRUE(ask("new", 10));
  EXPECT_EQ(pools.leases().size(), 6U);
  EXPECT_EQ(pools.in_use(), 1U);
  EXPECT_FALSE(pools.forget(ip("10.9.0.0")));
}

TEST_F(Pools, ThousandsOfPeersAreQuick) {
  list = {prefix("10.0.0.0/15")};
  std::set<IpAddress> seen;
  for (unsigned i = 0; i < 100'000; ++i) seen.insert(*ask("p" + std::to_string(i), i));
  EXPECT_EQ(seen.size(), 100'000U);
}

TEST_F(Pools, ChangesAreToldOnceAndRememberedInTheNextLife) {
  EXPECT_TRUE(pools.take_changes().empty());
  pools.set_wall_clock(1000);
  const auto carol = ask("carol", 1);
  ASSERT_TRUE(carol);
  EXPECT_EQ(pools.take_changes(), std::vector<IpAddress>{*carol});
  EXPECT_TRUE(pools.take_changes().empty());
  pools.set_wall_clock(2000);
  pools.release(*carol, 1);
  EXPECT_EQ(pools.take_changes(), std::vector<IpAddress>{*carol});
  const auto lease = pools.find(*carol);
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->last_used_s, 2000U);
  EXPECT_FALSE(lease->in_use);

  // Another one would be led to this address by its name, were it not known whose it was.
  AddressPools next;
  const auto other = ip("10.9.0.3") == *carol ? ip("10.9.0.4") : ip("10.9.0.3");
  next.remember(other, id("carol"), 1500);
  next.remember(other, id("eve"), 1600);
  const auto peer = id("carol");
  const auto again = next.assign({list, peer, ip("192.0.2.9"), Family::kV4, std::nullopt, 7});
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, other);
  EXPECT_TRUE(next.take_changes().empty());
  next.release(other, 7);
  EXPECT_TRUE(next.forget(other));
  EXPECT_EQ(next.take_changes(), std::vector<IpAddress>{other});
  EXPECT_FALSE(next.find(other));
}

}  // namespace
}  // namespace cygnet::policy
