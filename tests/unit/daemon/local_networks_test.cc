// SPDX-License-Identifier: Apache-2.0
// Networks this machine is attached to, inside of tunnelled ones: which stay outside.
#include "daemon/monitor/local_networks.h"

#include "unit/daemon/network_fixture.h"

namespace cygnet::daemon {
namespace {

IpPrefix prefix(const char* text) { return *IpPrefix::parse(text); }
IpAddress address(const char* text) { return *IpAddress::parse(text); }
io::InterfaceAddress on(int device, const char* text) { return {.index = device, .prefix = prefix(text)}; }

model::Connection connection(const char* local, const char* remote) {
  model::Connection out;
  out.children.emplace_back();
  if (local != nullptr) out.children[0].local.push_back(*model::TrafficSelector::parse(local));
  out.children[0].remote.push_back(*model::TrafficSelector::parse(remote));
  return out;
}

model::Connection client(const char* remote) {
  auto out = connection(nullptr, remote);
  out.local.request_ip4 = true;
  return out;
}

TEST(AttachedNetworks, AreWhatAddressesSay) {
  auto peer = on(4, "10.7.0.1/32");
  peer.peer = address("10.7.0.2");
  const auto found = attached_networks({on(1, "127.0.0.1/8"), on(2, "10.1.0.1/24"), on(2, "10.1.0.2/24"),
                                        on(3, "192.0.2.1/32"), on(3, "10.3.0.1/31"), on(3, "fe80::1/64"), peer});
  std::vector<std::string> texts;
  for (const auto& one : found) {
    texts.push_back(one.prefix.to_string() + " on " + std::to_string(one.device) + ", " + one.neighbour.to_string());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"10.1.0.0/24 on 2, 10.1.0.3", "10.3.0.0/31 on 3, 10.3.0.0",
                                             "10.7.0.2/32 on 4, 10.7.0.2", "fe80::/64 on 3, fe80::2"}));
}

TEST(AttachedNetworks, AreAskedForAllOverTheNetwork) {
  const auto samples = [](const char* network, const char* neighbour) {
    std::string out;
    for (const auto& one : samples_of({prefix(network), 2, address(neighbour)})) out += one.to_string() + ' ';
    return out;
  };
  EXPECT_EQ(samples("10.1.0.0/24", "10.1.0.2"),
            "10.1.0.2 10.1.0.8 10.1.0.24 10.1.0.40 10.1.0.56 10.1.0.72 10.1.0.88 10.1.0.104 10.1.0.120 10.1.0.136 "
            "10.1.0.152 10.1.0.168 10.1.0.184 10.1.0.200 10.1.0.216 10.1.0.232 10.1.0.248 ");
  EXPECT_EQ(samples("10.3.0.0/31", "10.3.0.0"), "10.3.0.0 10.3.0.1 ");
  EXPECT_EQ(samples("10.3.0.1/32", "10.3.0.1"), "10.3.0.1 ");
  EXPECT_TRUE(samples("fd00:1::/64", "fd00:1::2").starts_with("fd00:1::2 fd00:1:0:0:800:: fd00:1:0:0:1800:: "));
  EXPECT_TRUE(samples("0.0.0.0/0", "10.0.0.1").starts_with("10.0.0.1 8.0.0.0 24.0.0.0 "));
}

TEST(LocalNetworks, NearAreThoseThatNoHostOfTheInternetIsIn) {
  for (const char* near : {"10.0.0.0/8", "172.16.0.0/16", "192.168.1.0/24", "100.64.0.0/10", "169.254.0.0/16",
                           "fd00:1::/64", "fe80::/64"}) {
    EXPECT_TRUE(is_near(prefix(near))) << near;
  }
  for (const char* far :
       {"0.0.0.0/1", "8.0.0.0/6", "172.0.0.0/8", "192.0.2.0/24", "100.0.0.0/8", "2001:db8::/32", "::/0", "f000::/4"}) {
    EXPECT_FALSE(is_near(prefix(far))) << far;
  }
}

TEST(LocalNetworks, WhatStaysOutsideOfWhichTunnel) {
  const auto where = [](const char* network, std::set<IpPrefix> tunnelled, const model::Connection& c) {
    return where_it_belongs(prefix(network), tunnelled, covered_by(c));
  };
  const auto site = connection("10.1.0.0/24", "0.0.0.0/0");
  EXPECT_EQ(where("10.1.0.0/24", {prefix("0.0.0.0/0")}, site), Stays::kOutside);
  EXPECT_EQ(where("192.0.2.0/24", {prefix("0.0.0.0/0")}, site), Stays::kOutside);

  EXPECT_EQ(where("10.1.0.0/24", {prefix("0.0.0.0/0")}, client("0.0.0.0/0")), Stays::kOutsideOfAClients);
  EXPECT_EQ(where("192.0.2.0/24", {prefix("0.0.0.0/0")}, client("0.0.0.0/0")), Stays::kNotAsItIsFar);
  EXPECT_EQ(where("0.0.0.0/1", {prefix("0.0.0.0/0")}, client("0.0.0.0/0")), Stays::kNotAsItIsFar);
  // Another connection's tunnel covers it, the client's does not.
  EXPECT_EQ(where("192.0.2.0/24", {prefix("192.0.0.0/16"), prefix("10.2.0.0/16")}, client("10.0.0.0/8")),
            Stays::kOutside);
  // What the client could ask for is not what it has.
  EXPECT_EQ(where("192.0.2.0/24", {prefix("192.0.0.0/8")}, client("192.0.0.0/16")), Stays::kOutside);

  auto none = client("0.0.0.0/0");
  none.local_networks = false;
  EXPECT_EQ(where("10.1.0.0/24", {prefix("0.0.0.0/0")}, none), Stays::kNotAsConfigured);
  // Networks of our own end are what a site's tunnel is there for.
  auto strict_site = site;
  strict_site.local_networks = false;
  EXPECT_EQ(where("10.1.0.0/24", {prefix("0.0.0.0/0")}, strict_site), Stays::kOutside);
  EXPECT_EQ(where("10.3.0.0/24", {prefix("0.0.0.0/0")}, strict_site), Stays::kNotAsConfigured);
}

TEST(LocalNetworks, WhicheverEndIsOurs) {
  auto reversed = connection("0.0.0.0/0", "10.9.0.1/32");
  reversed.remote.request_ip4 = true;
  EXPECT_EQ(where_it_belongs(prefix("192.0.2.0/24"), {prefix("0.0.0.0/0")}, covered_by(reversed)),
            Stays::kNotAsItIsFar);
}

// ---- in the kernel

class LocalNetworksTest : public NetworkTest {
 protected:
  void bound_by(const model::Connection& c) {
    space.in([&] { network->set_bounds(bounds_of(c)); });
  }
  void change(const char* command, bool addresses = true) {
    ASSERT_EQ(space.shell(command), 0) << command;
    space.in([&] { addresses ? network->on_network_changed() : network->on_routes_changed(); });
  }
};

// RFC 3442 lets a DHCP server hand out such routes, RFC 4861 a router.
TEST_F(LocalNetworksTest, ARouteThatSomebodyPutIntoTheMainTableIsNoNetworkOfOurs) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  ASSERT_TRUE(ask(kAddRoute, "2000::/3"));
  for (const bool addresses : {false, true}) {
    change("ip route replace 0.0.0.0/1 dev wan; ip -6 route replace 2001:db8:5::/64 dev wan", addresses);
    EXPECT_TRUE(leads_to("8.8.8.8", "ipsec0"));
    EXPECT_TRUE(leads_to("2001:db8:5::1", "ipsec0"));
    EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  }
}

TEST_F(LocalNetworksTest, AClientLeavesOnlyPrivateOnesOutside) {
  bound_by(client("0.0.0.0/0"));
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  EXPECT_TRUE(leads_to("192.0.2.254", "ipsec0"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  change("ip addr add 198.51.100.77/16 dev lan");
  EXPECT_TRUE(leads_to("198.51.100.1", "ipsec0"));
  EXPECT_NE(log.text.find("198.51.0.0/16 (lan) is attached to this machine and is no private network"),
            std::string::npos)
      << log.text;
  EXPECT_NE(log.text.find("10.1.0.0/24 (lan) is a private network that this machine is attached to"), std::string::npos)
      << log.text;
  // Once, however often it is looked at.
  const auto told = log.text.size();
  change("ip route add 203.0.113.0/24 dev wan");
  EXPECT_EQ(log.text.size(), told) << log.text;
}

TEST_F(LocalNetworksTest, LocalNetworksNoTakesThePrivateOnesInAndAReloadGivesThemBack) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  auto none = client("0.0.0.0/0");
  none.local_networks = false;
  bound_by(none);
  EXPECT_TRUE(leads_to("10.1.0.77", "ipsec0"));
  EXPECT_TRUE(leads_to("10.1.0.77 mark 0x43590000", "lan"));
  bound_by(client("0.0.0.0/0"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
}

// The main table would take the default route.
TEST_F(LocalNetworksTest, AnAddressWithoutARouteOfItsNetworkIsNoWayOut) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  change("ip link set lan down");
  EXPECT_TRUE(leads_to("10.1.0.77", "ipsec0"));
  change("ip link set lan up");
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  change("ip addr add 10.7.0.1/24 dev lan noprefixroute");
  EXPECT_TRUE(leads_to("10.7.0.77", "ipsec0"));
  change("ip route add 10.7.0.0/24 dev lan", false);
  EXPECT_TRUE(leads_to("10.7.0.77", "lan"));
  change("ip route del 10.7.0.0/24 dev lan", false);
  EXPECT_TRUE(leads_to("10.7.0.77", "ipsec0"));
}

// Single hosts have routes of their own: bans, containers, clients of a proxy.
TEST_F(LocalNetworksTest, RoutesOfSingleHostsSayNothingAboutTheirNetwork) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  for (const char* route : {"blackhole 10.1.0.2/32", "10.1.0.2/32 dev wan", "10.1.0.2/32 via 192.0.2.254"}) {
    change((std::string("ip route replace ") + route).c_str(), false);
    EXPECT_TRUE(leads_to("10.1.0.77", "lan")) << route;
  }
  // Nor do they stand for it.
  change("ip addr add 10.7.0.1/24 dev lan noprefixroute && ip route add 10.7.0.2/32 dev lan");
  EXPECT_TRUE(leads_to("10.7.0.77", "ipsec0"));
}

TEST_F(LocalNetworksTest, GatewaysAreAskedForWhenSomebodyWantsToKnow) {
  network->set_bounds({.addresses = {}, .assigned_addresses = true, .proxied = {}, .covered = {}});
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "192.0.2.254/32"));
  EXPECT_TRUE(ask(NetworkRequest::What::kAddAddress, "192.0.2.253/32"));
  change("ip route add 203.0.113.0/24 via 192.0.2.252", false);
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "192.0.2.252/32"));
}

// ---- routes that hold

TEST_F(LocalNetworksTest, WithoutTheDeviceNothingLeavesUntilItIsRepaired) {
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16", "10.5.0.1"));
  ASSERT_TRUE(ask(kAddRoute, "2001:db8:7::/48"));
  ASSERT_EQ(space.shell("ip -6 route add default dev wan"), 0);
  for (const char* fault : {"ip addr flush dev ipsec0", "ip link set ipsec0 down", "ip link del ipsec0"}) {
    SCOPED_TRACE(fault);
    ASSERT_EQ(space.shell(fault), 0);
    EXPECT_FALSE(leads_to("10.2.0.1", "wan"));
    EXPECT_FALSE(leads_to("2001:db8:7::1", "wan"));
    EXPECT_TRUE(leads_to("8.8.8.8", "wan"));
    (void)space.in([&] { return network->repair(); });
    EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
    EXPECT_TRUE(leads_to("2001:db8:7::1", "ipsec0"));
  }
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(kRemoveRoute, "2001:db8:7::/48"));
  EXPECT_EQ(space.shell("test -z \"$(ip route show table 4359; ip -6 route show table 4359)\""), 0);
}

TEST_F(LocalNetworksTest, TheRouteThatHoldsIsPutBackAndIsThereOnceForTwoDevices) {
  space.in([&] { network->close(); });
  model::Setup setup;
  setup.devices = {"ipsec0", "ipsec1"};
  network = std::make_unique<Network>(setup, state, log);
  space.in([&] { ASSERT_TRUE(network->open()); });
  const auto holds = [&] { return space.shell("ip route show table 4359 | grep -q '^unreachable 10.2.0.0/16'") == 0; };
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16", nullptr, "ipsec1"));
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16", nullptr, "ipsec1"));
  EXPECT_TRUE(holds());
  ASSERT_EQ(space.shell("ip route del unreachable 10.2.0.0/16 table 4359"), 0);
  (void)space.in([&] { return network->repair(); });
  EXPECT_TRUE(holds());
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  EXPECT_FALSE(holds());
}

TEST_F(LocalNetworksTest, ARouteWhosePlaceSomebodyTookIsSetAgain) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  const auto changes = space.in([] { return io::open_route_changes(); });
  ASSERT_TRUE(changes);
  ASSERT_EQ(space.shell("ip route replace 10.2.0.0/16 via 192.0.2.254 table 4359"), 0);
  EXPECT_TRUE(leads_to("10.2.0.1", "wan"));
  EXPECT_TRUE(io::drain_route_changes(changes->get(), network->ours()).ours);
  (void)space.in([&] { return network->repair(); });
  EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
}

// The device, and with it the route into it, is gone before the next monitor begins.
TEST_F(LocalNetworksTest, AKilledMonitorsHoldingRoutesStayUntilTheNewIkeHasSaidWhatItNeeds) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(kAddRoute, "10.3.0.0/16"));
  network.reset();
  ASSERT_EQ(space.shell("ip link del ipsec0"), 0);
  begin();
  space.in([&] { network->begin_sync(); });
  EXPECT_FALSE(leads_to("10.2.0.1", "wan"));
  EXPECT_FALSE(leads_to("10.3.0.1", "wan"));
  ASSERT_TRUE(ask(kAddRoute, "10.3.0.0/16"));
  space.in([&] { network->end_sync(); });
  EXPECT_TRUE(leads_to("10.2.0.1", "wan"));
  EXPECT_TRUE(leads_to("10.3.0.1", "ipsec0"));
}

}  // namespace
}  // namespace cygnet::daemon
