// SPDX-License-Identifier: Apache-2.0
// A peer whom the configuration leaves open (right=%any) gets no address that it says is somebody else's, or ours.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

// B is a site that a connection of A names. C is a client of A's connection for anybody: each says what is behind it.
struct Open : testing::Test {
  model::Connection site = tunnel("site");  // to B, 10.2.0.0/16
  model::Connection any = tunnel("any");
  model::SharedSecret psk = secret("s3cret");
  const char* behind_a = "10.1.0.0/16";
  std::vector<IpAddress> addresses_of_a;
  bool site_waits = false;  // it cannot be used yet

  Open() {
    any.remote.host = {};
    any.remote.host.kind = model::HostSpec::Kind::kAny;
    any.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("c.test")};
    any.children = {child("any", "10.1.0.0/16", "10.0.0.0/8")};
    psk.ids = {};
    psk.any_peer = true;
  }
  // Whether C gets what it asks for.
  bool gets(const std::string& behind_c) {
    auto of_c = tunnel("any");
    of_c.local = any.remote;
    of_c.remote = any.local;
    of_c.local.host.kind = model::HostSpec::Kind::kAddress;
    of_c.local.host.address = address("203.0.113.1");
    of_c.remote.host.kind = model::HostSpec::Kind::kAddress;
    of_c.remote.host.address = address("192.0.2.1");
    of_c.children = {child("any", behind_c, behind_a)};
    Exchange e;
    e.add("A", "192.0.2.1", site_waits ? std::vector{any} : std::vector{site, any}, {psk});
    e.add("B", "198.51.100.1", {mirrored(site)}, {psk});
    e.add("C", "203.0.113.1", {of_c}, {psk});
    e.a().act(e.now(), [&](auto& endpoint) { endpoint.on_local_addresses(e.now(), addresses_of_a); });
    if (site_waits) e.a().endpoint().use_waiting({site});
    e.initiate(e.side(2), "any", "any");
    e.run();
    const auto specs = e.a().plane.specs();
    return std::ranges::any_of(specs, [](const auto& s) { return s.connection == "any"; });
  }
};

TEST_F(Open, WhatANamedPeerHasIsNotTakenThoughThatIsDown) {
  EXPECT_FALSE(gets("10.2.0.5/32"));
  EXPECT_FALSE(gets("10.2.0.0/16"));
  EXPECT_TRUE(gets("10.3.0.5/32"));
}

TEST_F(Open, WhatAConnectionHasThatWaitsForAnAddressIsNotTaken) {
  site_waits = true;
  site.remote.host = {};
  site.remote.host.kind = model::HostSpec::Kind::kName;
  site.remote.host.name = "site.test";
  EXPECT_FALSE(gets("10.2.0.5/32"));
  EXPECT_FALSE(gets("10.2.0.0/16"));
  EXPECT_TRUE(gets("10.3.0.5/32"));
}

// A site whose address changes is known by its name.
TEST_F(Open, WhatAPeerKnownByItsNameHasIsNotTaken) {
  site.remote.host = {};
  site.remote.host.kind = model::HostSpec::Kind::kAny;
  site.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("b.test")};
  EXPECT_FALSE(gets("10.2.0.5/32"));
  EXPECT_FALSE(gets("10.2.0.0/16"));
  EXPECT_TRUE(gets("10.3.0.5/32"));
  site.remote.id->data = to_bytes("*.test");
  EXPECT_TRUE(gets("10.2.0.5/32")) << "one of that group";
  site.remote.id_any = true;
  EXPECT_TRUE(gets("10.2.0.5/32")) << "anybody's, as the other";
}

// A client that is away keeps the address that it was given.
TEST_F(Open, AddressesOfAPoolAreNotTaken) {
  site.remote.host = {};
  site.remote.host.kind = model::HostSpec::Kind::kAny;
  site.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("b.test")};
  site.children[0].remote.clear();
  model::AddressPool pool;
  pool.range = IpRange::of(*IpPrefix::parse("10.9.0.0/24"));
  pool.text = "10.9.0.0/24";
  site.remote.pools = {pool};
  EXPECT_FALSE(gets("10.9.0.7/32"));
  EXPECT_FALSE(gets("10.9.0.0/24"));
  EXPECT_TRUE(gets("10.8.0.7/32"));
  site.remote.id.reset();
  EXPECT_FALSE(gets("10.9.0.7/32")) << "whoever its clients are";
}

// Of one range that is written for several names each may have a part.
TEST_F(Open, PeersOfSeveralNamesShareARange) {
  site.remote.host = {};
  site.remote.host.kind = model::HostSpec::Kind::kAny;
  site.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("b.test")};
  site.children = {child("site", "10.1.0.0/16", "10.0.0.0/8")};
  EXPECT_TRUE(gets("10.2.0.5/32"));
}

// A wider claim takes nothing away: the narrower policy goes first.
TEST_F(Open, WhatLiesAroundItIsTaken) { EXPECT_TRUE(gets("10.2.0.0/15")); }

TEST_F(Open, WhatIsOursIsNotTaken) {
  EXPECT_FALSE(gets("10.1.0.5/32"));
  EXPECT_FALSE(gets("10.1.0.0/16"));
}

// A way out for roadwarriors has all addresses at our end; what is behind us another connection says.
TEST_F(Open, WhatIsOursIsNotTakenWhereLeftsubnetIsAll) {
  any.children = {child("any", "0.0.0.0/0", "10.0.0.0/8")};
  behind_a = "0.0.0.0/0";
  addresses_of_a = {address("192.0.2.1"), address("10.1.0.1"), address("10.7.0.1")};
  EXPECT_FALSE(gets("10.1.0.5/32"));
  EXPECT_FALSE(gets("10.1.0.0/16"));
  EXPECT_FALSE(gets("10.7.0.1/32")) << "this machine";
  EXPECT_TRUE(gets("10.7.0.2/32")) << "nobody says that this is ours";
  EXPECT_TRUE(gets("10.3.0.5/32"));
  // What we only pass on is behind a peer, and may be behind this one.
  addresses_of_a = {address("192.0.2.1")};
  EXPECT_TRUE(gets("10.1.0.5/32"));
}

TEST_F(Open, ThePeerItselfMayComeAsAnybody) {
  for (const auto* same : {"c.test", "C.Test", "*.test"}) {
    site.remote.id = model::Identity{model::IdType::kFqdn, to_bytes(same)};
    EXPECT_TRUE(gets("10.2.0.5/32")) << same;
  }
  site.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("d.test")};
  EXPECT_FALSE(gets("10.2.0.5/32"));
}

TEST_F(Open, WhatIsWrittenIsMeant) {
  any.children = {child("any", "10.1.0.0/16", "10.2.0.5/32")};
  EXPECT_TRUE(gets("10.2.0.5/32"));
}

// Hub and spokes: the whole company on both sides, each spoke narrows to its part.
TEST_F(Open, SpokesOfAHubAreNotOurs) {
  any.children = {child("any", "10.0.0.0/8", "10.0.0.0/8")};
  EXPECT_TRUE(gets("10.4.0.0/16"));
  // Nor because the hub passes a part of the company on to somebody else, itself included.
  addresses_of_a = {address("10.0.0.1")};
  site.children = {child("site", "10.0.0.0/12", "192.168.0.0/16")};
  EXPECT_TRUE(gets("10.4.0.0/16"));
  EXPECT_FALSE(gets("10.0.0.1/32")) << "this machine";
}

// What is written more closely for anybody than for a certain peer is anybody's.
TEST_F(Open, WhatIsWrittenMostCloselyDecides) {
  any.children = {child("any", "10.1.0.0/16", "10.2.5.0/24")};
  EXPECT_TRUE(gets("10.2.5.7/32"));
}

TEST_F(Open, ANamedPeerTakesNothingFromAnother) {
  any.remote.host.kind = model::HostSpec::Kind::kAddress;
  any.remote.host.address = address("203.0.113.1");
  EXPECT_FALSE(gets("10.2.0.5/32"));
  EXPECT_FALSE(gets("10.1.0.5/32"));
  EXPECT_TRUE(gets("10.3.0.5/32"));
  any.children = {child("any", "10.1.0.0/16", "10.2.0.0/16")};
  EXPECT_TRUE(gets("10.2.0.5/32")) << "written for two known peers: meant";
}

TEST_F(Open, AWayOutForAllIsNobodysNetwork) {
  site.children = {child("site", "10.1.0.0/16", "0.0.0.0/0")};
  EXPECT_TRUE(gets("10.3.0.5/32"));
}

// One peer keeps the others waiting no longer for hundreds of ports or ranges, around hundreds of networks of others.
TEST_F(Open, HowMuchIsLookedAtIsBounded) {
  const auto asks = [&](bool ports) {
    std::vector<model::Connection> hub;
    for (int i = 0; i < 300; ++i) {
      auto one = tunnel("site" + std::to_string(i));
      one.remote.id = model::Identity{model::IdType::kFqdn, to_bytes(one.name)};
      one.remote.host.address = address("203.0.113." + std::to_string(i % 200 + 20));
      one.children[0].remote[0].range = IpRange::of(
          *IpPrefix::parse("10." + std::to_string(100 + i / 250) + "." + std::to_string(i % 250) + ".0/24"));
      one.children[0].start = model::StartAction::kAdd;
      hub.push_back(one);
    }
    hub.push_back(any);
    auto of_c = mirrored(any);
    of_c.local.host.kind = of_c.remote.host.kind = model::HostSpec::Kind::kAddress;
    of_c.local.host.address = address("203.0.113.1");
    of_c.remote.host.address = address("192.0.2.1");
    auto& mine = of_c.children[0].local;
    mine.clear();
    for (int i = 0; i < 100; ++i) {
      auto one = *model::TrafficSelector::parse("10.0.0.1-10.255.255.254[tcp/" + std::to_string(1000 + 2 * i) + "]");
      if (!ports) one.range.first = address("10.0.0." + std::to_string(i + 1));
      mine.push_back(one);
    }
    Exchange e;
    e.add("A", "192.0.2.1", hub, {psk});
    e.add("C", "203.0.113.1", {of_c}, {psk});
    e.initiate(e.side(1), "any", "any");
    e.run();
    return e.a().plane.specs().empty() ? 0 : e.a().plane.specs().front().remote_selectors.size();
  };
  EXPECT_EQ(asks(true), 100U) << "addresses are looked at once, whatever the ports";
  EXPECT_EQ(asks(false), 0U);
}

// The same where we call: what a peer may not ask for it may not answer.
TEST_F(Open, APeerThatWeCallAnswersWithNothingOfOthers) {
  any.remote.host.kind = model::HostSpec::Kind::kAddress;
  any.remote.host.address = address("203.0.113.1");
  const auto gives = [&](const char* range) {
    auto of_c = mirrored(any);
    of_c.children = {child("any", range, "10.1.0.0/16")};
    Exchange e;
    e.add("A", "192.0.2.1", {site, any}, {psk});
    e.add("B", "198.51.100.1", {mirrored(site)}, {psk});
    e.add("C", "203.0.113.1", {of_c}, {psk});
    e.initiate(e.a(), "any", "any");
    e.advance_and_run(10s);
    const auto specs = e.a().plane.specs();
    // What we refuse the peer does not keep either.
    EXPECT_EQ(specs.size(), e.side(2).plane.specs().size()) << range;
    return !specs.empty();
  };
  for (const auto* wide : {"10.0.0.0/8", "0.0.0.0/0"}) {
    any.children = {child("any", "10.1.0.0/16", wide)};
    EXPECT_FALSE(gives("10.2.0.5/32")) << wide;
    EXPECT_TRUE(gives("10.3.0.5/32")) << wide;
    EXPECT_TRUE(gives(wide));
  }
  any.children = {child("any", "10.1.0.0/16", "10.0.0.0/8")};
  EXPECT_FALSE(gives("10.1.0.5/32")) << "ours";
}

}  // namespace
}  // namespace cygnet::test
