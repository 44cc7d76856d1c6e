// SPDX-License-Identifier: Apache-2.0
// What the monitor sets in the kernel: devices, addresses, routes and rules.
#include <poll.h>

#include <algorithm>
#include <tuple>

#include "unit/daemon/network_fixture.h"

namespace cygnet::daemon {
namespace {

TEST_F(NetworkTest, ATunnelledDefaultRouteLeavesLanAndMarkedPacketsAlone) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  EXPECT_TRUE(leads_to("8.8.8.8", "ipsec0"));
  EXPECT_TRUE(leads_to("8.8.8.8 mark 0x43590000", "wan"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  EXPECT_TRUE(leads_to("192.0.2.254", "wan"));
}

TEST_F(NetworkTest, ANetworkThatComesLaterStaysReachableToo) {
  ASSERT_TRUE(ask(kAddRoute, "10.0.0.0/8"));
  EXPECT_TRUE(leads_to("10.7.0.1", "ipsec0"));
  ASSERT_EQ(space.shell("ip addr add 10.7.0.5/24 dev lan"), 0);
  space.in([&] { network->on_network_changed(); });
  EXPECT_TRUE(leads_to("10.7.0.1", "lan"));
  ASSERT_EQ(space.shell("ip addr del 10.7.0.5/24 dev lan"), 0);
  space.in([&] { network->on_network_changed(); });
  EXPECT_TRUE(leads_to("10.7.0.1", "ipsec0"));
}

TEST_F(NetworkTest, AnEquallyNarrowTunnelWinsAndGivesTheLanBack) {
  ASSERT_TRUE(ask(kAddRoute, "10.0.0.0/8"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  ASSERT_TRUE(ask(kAddRoute, "10.1.0.0/24"));
  EXPECT_TRUE(leads_to("10.1.0.77", "ipsec0"));
  ASSERT_TRUE(ask(kRemoveRoute, "10.1.0.0/24"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
}

// More than go to the kernel at once, among them one that it refuses, one that needs a throw route, and a removal.
TEST_F(NetworkTest, ManyRequestsAreDoneInTheirOrder) {
  std::vector<NetworkRequest> requests;
  for (std::uint32_t i = 0; i < 150; ++i) {
    requests.push_back(
        {.request = i, .what = kAddRoute, .prefix = IpPrefix::host(IpAddress::v4(0x0a640000 + i)), .device = "ipsec0"});
  }
  requests[70].source = IpAddress::parse("10.99.0.1");  // not an address of this machine
  requests.push_back({.what = kAddRoute, .prefix = *IpPrefix::parse("10.0.0.0/8"), .device = "ipsec0"});
  requests.push_back({.what = kRemoveRoute, .prefix = *IpPrefix::parse("10.100.0.3/32"), .device = "ipsec0"});
  requests.push_back({.what = kAddRoute, .prefix = *IpPrefix::parse("10.100.0.3/32"), .device = "none"});
  requests.push_back({.what = kAddRoute, .prefix = *IpPrefix::parse("198.51.100.0/24"), .device = "ipsec0"});
  const auto errors = space.in([&] { return network->apply(requests); });
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].why.find("'none'"), std::string::npos);
  EXPECT_NE(log.text.find("10.100.0.70/32 is there without its source 10.99.0.1"), std::string::npos);
  EXPECT_EQ(space.shell("test $(ip route show table 4359 | grep -c '^10.100.0.') = 149"), 0);
  EXPECT_TRUE(leads_to("10.100.0.149", "ipsec0"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  EXPECT_TRUE(leads_to("198.51.100.7", "ipsec0"));
}

TEST_F(NetworkTest, AddressesComeAndGo) {
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_TRUE(ask(kAddRoute, "10.6.0.0/16", "10.5.0.1"));
  EXPECT_EQ(space.shell("ip route get 10.6.0.1 | grep -q 'src 10.5.0.1'"), 0);
  ASSERT_TRUE(ask(kRemoveRoute, "10.6.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kRemoveAddress, "10.5.0.1/32"));
  EXPECT_NE(space.shell("ip addr show dev ipsec0 | grep -q 10.5.0.1"), 0);
}

// Not taken away and put back: in between packets would leave in the clear. The kernel tells of no route that goes this
// way, so the route is compared whole, with a mark that only this one has.
TEST_F(NetworkTest, RoutesOutliveTheLastAddressOfTheDevice) {
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_EQ(space.shell("ip route add 10.7.0.0/16 dev ipsec0 table 4359 mtu 1234"), 0);
  ASSERT_TRUE(ask(NetworkRequest::What::kRemoveAddress, "10.5.0.1/32"));
  EXPECT_EQ(space.shell("ip route show table 4359 | grep -q '10.7.0.0/16 dev ipsec0 .*mtu 1234'"), 0);
  // Nothing has it as its source.
  ASSERT_TRUE(ask(kAddRoute, "10.8.0.0/16"));
  EXPECT_NE(space.shell("ip route get 10.8.0.1 | grep -q 'src 192.0.0.8'"), 0);
}

TEST_F(NetworkTest, ARouteTakesThePlaceOfTheOneBefore) {
  network->set_bounds({.addresses = {}, .assigned_addresses = true, .proxied = {}});
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.2/32"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "fd05::1/128"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "fd05::2/128"));
  for (const auto& [ip, prefix, first, second] : {std::tuple("ip", "10.6.0.0/16", "10.5.0.1", "10.5.0.2"),
                                                  std::tuple("ip -6", "fd06::/64", "fd05::1", "fd05::2")}) {
    ASSERT_TRUE(ask(kAddRoute, prefix, first));
    ASSERT_TRUE(ask(kAddRoute, prefix, second));
    const auto show = std::string(ip) + " route show table 4359 type unicast root " + prefix + " | grep ";
    EXPECT_EQ(space.shell(show + "-q 'src " + second + " '"), 0);
    EXPECT_EQ(space.shell("test $(" + show + "-c .) = 1"), 0);
  }
}

TEST_F(NetworkTest, ARouteWhoseSourceIsGoneKeepsPacketsBackAllTheSame) {
  ASSERT_TRUE(ask(kAddRoute, "10.6.0.0/16", "10.66.0.1"));
  EXPECT_TRUE(leads_to("10.6.0.1", "ipsec0"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_TRUE(ask(kAddRoute, "10.8.0.0/16", "10.5.0.1"));
  ASSERT_EQ(space.shell("ip addr del 10.5.0.1/32 dev ipsec0 && ip route flush table 4359"), 0);
  space.in([&] { (void)network->repair(); });
  EXPECT_TRUE(leads_to("10.8.0.1", "ipsec0"));
  EXPECT_TRUE(leads_to("10.6.0.1", "ipsec0"));
}

TEST_F(NetworkTest, OnlyOurOwnDevicesAreTouched) {
  EXPECT_FALSE(ask(kAddRoute, "10.0.0.0/8", nullptr, "lan"));
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "10.5.0.0/16"));
  EXPECT_FALSE(ask(kAddRoute, "10.0.0.0/8", "fd00::1"));
}

TEST_F(NetworkTest, ANewIkeKeepsWhatItAsksForAgain) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(kAddRoute, "10.3.0.0/16"));
  network->begin_sync();
  ASSERT_TRUE(ask(kAddRoute, "10.3.0.0/16"));
  space.in([&] { network->end_sync(); });
  EXPECT_TRUE(leads_to("10.2.0.1", "wan"));
  EXPECT_TRUE(leads_to("10.3.0.1", "ipsec0"));
}

TEST_F(NetworkTest, NothingStaysBehind) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  space.in([&] { network->close(); });
  EXPECT_EQ(space.shell("test -z \"$(ip route show table 4359 2>/dev/null)\""), 0);
  EXPECT_NE(space.shell("ip rule | grep -q ^210:"), 0);
  EXPECT_NE(space.shell("ip -6 rule | grep -q ^210:"), 0);
  EXPECT_NE(space.shell("ip link show ipsec0 >/dev/null 2>&1"), 0);
  EXPECT_NE(::access(state.c_str(), F_OK), 0);
}

TEST_F(NetworkTest, AKilledMonitorLeavesTheWayShutAndTheNextOneTakesItOver) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_EQ(space.shell("ip route show table 4359 | grep -q throw"), 0);
  // As kill -9 does: descriptors close, nothing else happens.
  network.reset();
  EXPECT_TRUE(leads_to("8.8.8.8", "ipsec0"));
  EXPECT_NE(space.shell("ping -c 1 -W 1 -I 192.0.2.1 10.2.0.1 >/dev/null 2>&1"), 0);
  begin();
  EXPECT_TRUE(leads_to("8.8.8.8", "ipsec0"));
  EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
  EXPECT_EQ(space.shell("test $(ip rule | grep -c ^210:) = 1"), 0);
  // The new ike wants one of them.
  space.in([&] { network->begin_sync(); });
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  space.in([&] { network->end_sync(); });
  EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
  EXPECT_TRUE(leads_to("8.8.8.8", "wan"));
  EXPECT_NE(space.shell("ip addr show dev ipsec0 | grep -q 10.5.0.1"), 0);
  space.in([&] { network->close(); });
  EXPECT_NE(space.shell("ip link show ipsec0 >/dev/null 2>&1"), 0);
}

// Nobody holds the device then: it has no carrier.
TEST_F(NetworkTest, RoutesWithoutCarrierLeadIntoTheDeviceAllTheSame) {
  space.in([&] { network->close(); });
  ASSERT_EQ(space.shell("for f in ipv4 ipv6; do "
                        "echo 1 > /proc/sys/net/$f/conf/default/ignore_routes_with_linkdown; done"),
            0);
  begin();
  EXPECT_EQ(log.text.find("linkdown"), std::string::npos) << log.text;
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(kAddRoute, "2001:db8:7::/48"));
  network.reset();
  EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
  EXPECT_TRUE(leads_to("2001:db8:7::1", "ipsec0"));
  // For all devices it is not ours to change.
  ASSERT_EQ(space.shell("echo 1 > /proc/sys/net/ipv4/conf/all/ignore_routes_with_linkdown"), 0);
  begin();
  EXPECT_NE(log.text.find("net/ipv4/conf/all/ignore_routes_with_linkdown is 1"), std::string::npos) << log.text;
}

TEST_F(NetworkTest, WhatAKilledMonitorLeftIsRemovedWhereItDoesNotFitTheConfiguration) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  network.reset();
  EXPECT_EQ(space.shell("ip rule | grep -q ^210:"), 0);
  // The next one is configured differently: only the state file knows the old numbers and devices.
  model::Setup setup;
  setup.route_table = 5000;
  setup.rule_priority = 5000;
  setup.devices = {"ipsec7"};
  network = std::make_unique<Network>(setup, state, log);
  space.in([&] { ASSERT_TRUE(network->open()); });
  EXPECT_NE(space.shell("ip rule | grep -q ^210:"), 0);
  EXPECT_EQ(space.shell("ip rule | grep -q ^5000:"), 0);
  EXPECT_EQ(space.shell("test -z \"$(ip route show table 4359 2>/dev/null)\""), 0);
  EXPECT_NE(space.shell("ip link show ipsec0 >/dev/null 2>&1"), 0);
  EXPECT_NE(space.shell("nft list table inet cygnet_4359 >/dev/null 2>&1"), 0);
}

TEST_F(NetworkTest, ACleanUpAfterAKillLeavesNothing) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  network.reset();
  Network cleaner(model::Setup{}, state, log);
  space.in([&] { ASSERT_TRUE(cleaner.clean_up()); });
  EXPECT_NE(space.shell("ip rule | grep -q ^210:"), 0);
  EXPECT_NE(space.shell("ip link show ipsec0 >/dev/null 2>&1"), 0);
  EXPECT_NE(space.shell("nft list table inet cygnet_4359 >/dev/null 2>&1"), 0);
  EXPECT_NE(::access(state.c_str(), F_OK), 0);
}
// ---- what others take away

TEST_F(NetworkTest, WhatOthersTakeAwayIsPutBack) {
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0", "10.5.0.1"));
  ASSERT_TRUE(ask(kAddRoute, "2001:db8:7::/48"));
  const auto changes = space.in([] { return io::open_route_changes(); });
  ASSERT_TRUE(changes);
  for (const char* fault :
       {"ip rule del pref 210", "ip -6 rule del pref 210", "ip route flush table 4359", "ip -6 route flush table 4359",
        "ip link set ipsec0 down", "ip link set ipsec0 down && ip link set ipsec0 up", "ip addr flush dev ipsec0"}) {
    SCOPED_TRACE(fault);
    ASSERT_EQ(space.shell(fault), 0);
    EXPECT_TRUE(io::drain_route_changes(changes->get(), network->ours()).ours);
    EXPECT_FALSE(space.in([&] { return network->repair(); }));
    EXPECT_TRUE(leads_to("8.8.8.8", "ipsec0"));
    EXPECT_TRUE(leads_to("2001:db8:7::1", "ipsec0"));
    EXPECT_TRUE(leads_to("10.1.0.77", "lan"));
    EXPECT_EQ(space.shell("ip route get 8.8.8.8 | grep -q 'src 10.5.0.1'"), 0);
    (void)io::drain_route_changes(changes->get());
  }
  // Our own requests are no reason to look, nor are routes of others.
  ASSERT_TRUE(ask(kRemoveRoute, "2001:db8:7::/48"));
  ASSERT_EQ(space.shell("ip route add 203.0.113.0/24 dev wan && ip route del 203.0.113.0/24 dev wan"), 0);
  EXPECT_FALSE(io::drain_route_changes(changes->get(), network->ours()).ours);
}

TEST_F(NetworkTest, OurOwnRoutesWakeNobody) {
  const auto changes = space.in([&] { return io::open_route_changes(network->ours().own_port); });
  ASSERT_TRUE(changes);
  const auto told = [&] {
    pollfd one{.fd = changes->get(), .events = POLLIN, .revents = 0};
    const bool readable = ::poll(&one, 1, 0) == 1;
    (void)io::drain_route_changes(changes->get());
    return readable;
  };
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(kAddRoute, "2001:db8:7::/48"));
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  EXPECT_FALSE(told());
  // Other things of ours, and other people's routes.
  ASSERT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.1/32"));
  EXPECT_TRUE(told());
  ASSERT_EQ(space.shell("ip route add 203.0.113.0/24 dev wan"), 0);
  EXPECT_TRUE(told());
  ASSERT_EQ(space.shell("ip -6 route flush table 4359"), 0);
  EXPECT_TRUE(told());
}

TEST_F(NetworkTest, ADeletedDeviceIsMadeAnew) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_EQ(space.shell("ip link del ipsec0"), 0);
  EXPECT_TRUE(space.in([&] { return network->repair(); }));
  EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
  EXPECT_FALSE(space.in([&] { return network->repair(); }));
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  EXPECT_TRUE(leads_to("10.2.0.1", "wan"));
}

TEST_F(NetworkTest, ADeviceWithoutIpv6GetsItWhenATunnelNeedsIt) {
  const auto is = [&](const char* value) {
    return space.shell(std::string("grep -qx ") + value + " /proc/sys/net/ipv6/conf/ipsec0/disable_ipv6") == 0;
  };
  ASSERT_EQ(space.shell("echo 1 > /proc/sys/net/ipv6/conf/ipsec0/disable_ipv6"), 0);
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_TRUE(is("1"));
  ASSERT_TRUE(ask(kAddRoute, "2001:db8:7::/48"));
  EXPECT_TRUE(is("0"));
  EXPECT_TRUE(leads_to("2001:db8:7::1", "ipsec0"));
  EXPECT_NE(log.text.find("ipsec0 had no IPv6"), std::string::npos);
  // Somebody switches it off later: the route goes, and comes back with it.
  ASSERT_EQ(space.shell("echo 1 > /proc/sys/net/ipv6/conf/ipsec0/disable_ipv6"), 0);
  space.in([&] { (void)network->repair(); });
  EXPECT_TRUE(leads_to("2001:db8:7::1", "ipsec0"));
  EXPECT_TRUE(network->all_there());
}

// What the kernel refuses is wanted all the same.
TEST_F(NetworkTest, WhatTheKernelRefusesIsTriedAgain) {
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(space.shell("mount --make-rprivate / && mount --bind /proc/sys /proc/sys"), 0);
  const auto without_ipv6 = [&](const char* value) {
    // Nobody can change it.
    return space.shell("mount -o remount,bind,rw /proc/sys && echo " + std::string(value) +
                       " > /proc/sys/net/ipv6/conf/ipsec0/disable_ipv6 && mount -o remount,bind,ro /proc/sys") == 0;
  };
  ASSERT_TRUE(without_ipv6("1"));
  network->set_bounds({.addresses = {}, .assigned_addresses = true, .proxied = {}, .pools = {}});
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "fd05::1/128"));
    EXPECT_FALSE(ask(kAddRoute, "2001:db8:7::/48", "fd05::1"));
  }
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_FALSE(network->all_there());
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(space.in([&] { return network->repair(); }));
  EXPECT_FALSE(network->all_there());
  const auto told = [&](const std::string& text) {
    std::size_t times = 0;
    for (auto at = log.text.find(text); at != std::string::npos; at = log.text.find(text, at + 1)) ++times;
    return times;
  };
  EXPECT_EQ(told("cannot set the route 2001:db8:7::/48: "), 1U) << log.text;
  EXPECT_EQ(told("Packets for there may leave unprotected; it is tried again until it is there"), 1U) << log.text;
  EXPECT_EQ(told("cannot set the address fd05::1: "), 1U) << log.text;
  EXPECT_EQ(told("were gone"), 0U) << log.text;
  ASSERT_TRUE(without_ipv6("0"));
  EXPECT_FALSE(space.in([&] { return network->repair(); }));
  EXPECT_TRUE(network->all_there());
  EXPECT_TRUE(leads_to("2001:db8:7::1", "ipsec0"));
  EXPECT_EQ(space.shell("ip route get 2001:db8:7::1 | grep -q 'src fd05::1'"), 0);
  EXPECT_EQ(told("the route 2001:db8:7::/48 is there now"), 1U) << log.text;
  EXPECT_EQ(told("the address fd05::1 is there now"), 1U) << log.text;
  // What is not wanted any more is no longer missed.
  ASSERT_TRUE(without_ipv6("1"));
  EXPECT_FALSE(ask(kAddRoute, "2001:db8:8::/48"));
  (void)ask(kRemoveRoute, "2001:db8:8::/48");
  EXPECT_TRUE(network->all_there());
  // A machine without any IPv6 does without, and has its IPv4.
  ASSERT_EQ(space.shell("mount -o remount,bind,rw /proc/sys && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && "
                        "mount -o remount,bind,ro /proc/sys"),
            0);
  EXPECT_TRUE(ask(kAddRoute, "2001:db8:8::/48"));
  EXPECT_EQ(space.shell("umount /proc/sys"), 0);
}

TEST_F(NetworkTest, RulesThatTheKernelPutsRightBeforeOursComeAfterIt) {
  const auto rules = [&](const std::string& are) {
    space.in([&] { (void)network->repair(); });
    return space.shell("test \"$(ip rule | cut -d: -f1 | grep -vx 0 | head -n 2 | tr '\\n' ' ')\" = '" + are + " '") ==
           0;
  };
  ASSERT_EQ(space.shell("ip rule add from 10.1.0.0/24 table 100"), 0);
  EXPECT_TRUE(rules("208 209"));
  EXPECT_NE(log.text.find("the rule `from 10.1.0.0/24 lookup 100` was put before ours"), std::string::npos) << log.text;
  ASSERT_EQ(space.shell("ip rule add to 10.9.0.0/24 table 100"), 0);
  EXPECT_TRUE(rules("206 207"));
  ASSERT_EQ(space.shell("ip rule del pref 209 && ip rule del pref 207"), 0);
  EXPECT_TRUE(rules("210 32766"));
  EXPECT_EQ(log.text.find("is asked before ours"), std::string::npos);
  ASSERT_EQ(space.shell("ip rule add pref 100 iif lan goto 32766"), 0);
  EXPECT_TRUE(rules("100 210"));
  EXPECT_NE(log.text.find("the rule `100: from all iif lan goto 32766` is asked before ours (210)"), std::string::npos)
      << log.text;
  network->close();
  EXPECT_NE(space.shell("ip rule | grep -q 4359"), 0);
}

TEST_F(NetworkTest, RoutesOfOursThatNobodyWantsGo) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_EQ(space.shell("ip route add 10.3.0.0/16 dev ipsec0 table 4359 proto 89 && "
                        "ip route add unreachable 10.4.0.0/16 table 4359 proto 89 && "
                        "ip route add 10.5.0.0/16 dev ipsec0 table 4359"),
            0);
  space.in([&] { (void)network->repair(); });
  EXPECT_EQ(space.shell("test \"$(ip route show table 4359 | cut -d' ' -f1 | tr '\\n' ' ')\" = '10.2.0.0/16 "
                        "unreachable 10.5.0.0/16 '"),
            0);
}

TEST_F(NetworkTest, WhatWouldNotBeSetIsRefusedAHundredTimesAndThenCounted) {
  for (int i = 0; i < 300; ++i) EXPECT_FALSE(ask(kAddRoute, "10.2.0.0/16", nullptr, "lan"));
  EXPECT_EQ(std::ranges::count(log.text, '\n'), 101);
  EXPECT_NE(log.text.find("is counted and not told any more"), std::string::npos);
  // The next one is another.
  network->begin_sync();
  EXPECT_FALSE(ask(kAddRoute, "10.2.0.0/16", nullptr, "lan"));
  EXPECT_EQ(std::ranges::count(log.text, '\n'), 102);
}

// ---- pools

TEST_F(NetworkTest, AddressesOfPoolsThatNobodyHasAreRefused) {
  constexpr auto kAddPool = NetworkRequest::What::kAddPool;
  constexpr auto kRemovePool = NetworkRequest::What::kRemovePool;
  network->set_bounds(
      {.addresses = {},
       .assigned_addresses = false,
       .proxied = {},
       .pools = {IpRange::of(*IpPrefix::parse("10.9.0.0/24")), IpRange::of(*IpPrefix::parse("10.9.1.7/32")),
                 IpRange::of(*IpPrefix::parse("2001:db8:9::/64"))}});
  const auto refused = [&](const char* to) {
    return space.shell("ip route get " + std::string(to) + " >/dev/null 2>&1") != 0;
  };
  for (const auto* pool : {"10.9.0.0/24", "10.9.1.7/32", "2001:db8:9::/64"}) ASSERT_TRUE(ask(kAddPool, pool));
  EXPECT_FALSE(ask(kAddPool, "10.9.0.0/23"));
  EXPECT_FALSE(ask(kAddPool, "0.0.0.0/0"));
  for (const auto* one : {"10.9.0.5", "10.9.1.7", "2001:db8:9::5"}) EXPECT_TRUE(refused(one)) << one;
  EXPECT_TRUE(leads_to("10.9.1.8", "wan"));
  // Our own ESP and IKE do not see it.
  EXPECT_TRUE(leads_to("10.9.0.5 mark 0x43590000", "wan"));
  // Whoever has one is reached, be it the whole pool.
  for (const auto* peer : {"10.9.0.5/32", "10.9.1.7/32", "2001:db8:9::5/128"}) ASSERT_TRUE(ask(kAddRoute, peer));
  for (const auto* one : {"10.9.0.5", "10.9.1.7", "2001:db8:9::5"}) EXPECT_TRUE(leads_to(one, "ipsec0")) << one;
  EXPECT_TRUE(refused("10.9.0.6"));
  // And refused again at once when it is gone.
  for (const auto* peer : {"10.9.0.5/32", "10.9.1.7/32", "2001:db8:9::5/128"}) ASSERT_TRUE(ask(kRemoveRoute, peer));
  for (const auto* one : {"10.9.0.5", "10.9.1.7", "2001:db8:9::5"}) EXPECT_TRUE(refused(one)) << one;
  // Somebody takes it away.
  ASSERT_EQ(space.shell("ip route flush table 4359 && ip -6 route flush table 4359"), 0);
  space.in([&] { (void)network->repair(); });
  EXPECT_TRUE(refused("10.9.0.5"));
  EXPECT_TRUE(refused("2001:db8:9::5"));
  ASSERT_TRUE(ask(kRemovePool, "10.9.0.0/24"));
  EXPECT_TRUE(leads_to("10.9.0.5", "wan"));
  space.in([&] { network->close(); });
  EXPECT_EQ(space.shell("test -z \"$(ip route show table 4359 2>/dev/null; ip -6 route show table 4359 2>/dev/null)\""),
            0);
}

TEST_F(NetworkTest, WhatTheAdministratorRoutesOfAPoolIsLeftAlone) {
  constexpr auto kAddPool = NetworkRequest::What::kAddPool;
  network->set_bounds(
      {.addresses = {},
       .assigned_addresses = false,
       .proxied = {},
       .pools = {IpRange::of(*IpPrefix::parse("10.9.0.0/24")), IpRange::of(*IpPrefix::parse("10.1.0.64/26"))}});
  const auto refused = [&](const char* to) {
    return space.shell("ip route get " + std::string(to) + " >/dev/null 2>&1") != 0;
  };
  using Ways = std::vector<PoolRoutes::Way>;
  const auto pool = *IpPrefix::parse("10.9.0.0/24");
  const auto in_lan = *IpPrefix::parse("10.1.0.64/26");
  // A part of the LAN, for proxyarp=yes.
  ASSERT_TRUE(ask(kAddPool, "10.1.0.64/26"));
  EXPECT_TRUE(leads_to("10.1.0.70", "lan"));
  EXPECT_EQ(network->pool_ways(), (Ways{{in_lan, *IpPrefix::parse("10.1.0.0/24")}}));
  ASSERT_EQ(space.shell("ip route add 10.9.0.16/28 via 10.1.0.9"), 0);
  space.in([&] { network->on_network_changed(); });
  ASSERT_TRUE(ask(kAddPool, "10.9.0.0/24"));
  EXPECT_TRUE(leads_to("10.9.0.17", "lan"));
  EXPECT_TRUE(refused("10.9.0.5"));
  EXPECT_EQ(network->pool_ways().back(), (PoolRoutes::Way{pool, std::nullopt}));
  // A tunnel for just that part, and its end.
  ASSERT_TRUE(ask(kAddRoute, "10.9.0.16/28"));
  EXPECT_TRUE(leads_to("10.9.0.17", "ipsec0"));
  ASSERT_TRUE(ask(kRemoveRoute, "10.9.0.16/28"));
  EXPECT_TRUE(leads_to("10.9.0.17", "lan"));
  for (const auto* wider : {"10.9.0.0/24", "10.8.0.0/15"}) {
    ASSERT_EQ(space.shell("ip route add " + std::string(wider) + " via 10.1.0.9"), 0);
    space.in([&] { network->on_network_changed(); });
    EXPECT_TRUE(leads_to("10.9.0.5", "lan"));
    EXPECT_EQ(network->pool_ways().back(), (PoolRoutes::Way{pool, *IpPrefix::parse(wider)}));
    ASSERT_EQ(space.shell("ip route del " + std::string(wider)), 0);
    space.in([&] { network->on_network_changed(); });
    EXPECT_TRUE(refused("10.9.0.5"));
  }
}

// It stays while ike begins anew, and while a new monitor takes over.
TEST_F(NetworkTest, APoolIsRefusedUntilTheNextIkeDoesNotAskForIt) {
  const NetworkBounds bounds{.addresses = {},
                             .assigned_addresses = false,
                             .proxied = {},
                             .pools = {IpRange::of(*IpPrefix::parse("10.9.0.0/24"))}};
  const auto refused = [&] { return space.shell("ip route get 10.9.0.5 >/dev/null 2>&1") != 0; };
  network->set_bounds(bounds);
  ASSERT_TRUE(ask(NetworkRequest::What::kAddPool, "10.9.0.0/24"));
  network.reset();
  EXPECT_TRUE(refused());
  begin();
  network->set_bounds(bounds);
  EXPECT_TRUE(refused());
  space.in([&] { network->begin_sync(); });
  ASSERT_TRUE(ask(NetworkRequest::What::kAddPool, "10.9.0.0/24"));
  space.in([&] { network->end_sync(); });
  EXPECT_TRUE(refused());
  space.in([&] {
    network->begin_sync();
    network->end_sync();
  });
  EXPECT_FALSE(refused());
}

// ---- what ike may not ask for

// The engine's programs may ask for much, but not for all the room there is.
TEST_F(NetworkTest, WhatTheEngineAsksForIsBounded) {
  const auto all = [&](NetworkRequest::What what, std::uint32_t first, std::uint32_t count) {
    NetworkRequests requests;
    for (std::uint32_t i = first; i < first + count; ++i) {
      requests.list.push_back(
          {.what = what, .prefix = IpPrefix::host(IpAddress::v4(0x0a000000 + i)), .device = "ipsec0", .source = {}});
    }
    space.in([&] { network->apply_for_engine(requests); });
  };
  // Nothing is remembered of what is refused: clear networks have the smallest bound.
  all(NetworkRequest::What::kAddClear, 0, Network::kMostGuarded + 500);
  EXPECT_NE(log.text.find("the filter does not know of the newest"), std::string::npos);
  EXPECT_EQ(network->asked_by_engine(), Network::kMostGuarded);
  all(NetworkRequest::What::kRemoveClear, 0, Network::kMostGuarded + 500);
  EXPECT_EQ(network->asked_by_engine(), 0U);
}

TEST_F(NetworkTest, OnlyConfiguredAddressesAreSet) {
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "10.5.0.2/32"));
  EXPECT_NE(space.shell("ip addr show dev ipsec0 | grep -q 10.5.0.2"), 0);
  network->set_bounds({.addresses = {}, .assigned_addresses = true, .proxied = {}});
  EXPECT_TRUE(ask(NetworkRequest::What::kAddAddress, "10.5.0.2/32"));
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "10.1.0.1/32"));     // the LAN's own
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "192.0.2.254/32"));  // the gateway
  EXPECT_FALSE(ask(NetworkRequest::What::kAddAddress, "127.0.0.2/32"));
}

TEST_F(NetworkTest, OnlyPeersOfTheConfigurationAreAnsweredFor) {
  constexpr auto kAddProxy = NetworkRequest::What::kAddProxy;
  EXPECT_FALSE(ask(kAddProxy, "10.1.0.200/32"));
  network->set_bounds(
      {.addresses = {},
       .proxied = {IpRange::of(*IpPrefix::parse("10.1.0.0/24")), IpRange::of(*IpPrefix::parse("192.0.2.0/24"))}});
  EXPECT_TRUE(ask(kAddProxy, "10.1.0.200/32"));
  EXPECT_FALSE(ask(kAddProxy, "10.1.0.1/32"));
  EXPECT_FALSE(ask(kAddProxy, "192.0.2.254/32"));
  EXPECT_EQ(space.shell("test \"$(ip neigh show proxy | cut -d' ' -f1)\" = 10.1.0.200"), 0);
}

TEST_F(NetworkTest, AUsedPortIsExplained) {
  Network second(model::Setup{.devices = {"ipsec1"}}, state + ".2", log);
  const auto opened = space.in([&] { return second.open(); });
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("UDP port 500 (IPv4) is in use"), std::string::npos) << opened.error().message;
}

TEST_F(NetworkTest, AUsedDeviceNameIsExplained) {
  Network second(model::Setup{.devices = {"lan"}, .ike_port = 501, .nat_port = 4501}, state + ".2", log);
  const auto opened = space.in([&] { return second.open(); });
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("an interface of this name exists already"), std::string::npos)
      << opened.error().message;
}

// ---- XFRM interfaces
// Where the kernel has them, tests/interop/test_newer_kernel.py looks at them.
TEST_F(NetworkTest, WithoutXfrmInterfacesInTheKernelThatIsSaid) {
  model::Setup setup;
  setup.interfaces = {{"ipsec7", 7}};
  network->close();
  network = std::make_unique<Network>(setup, state, log);
  const auto opened = space.in([&] { return network->open(); });
  if (opened) GTEST_SKIP() << "this kernel has XFRM interfaces";
  EXPECT_EQ(opened.error().message, "ipsec-interface=7: this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE)");
}

TEST_F(NetworkTest, ADeviceOfThatNameIsNoInterfaceOfOurs) {
  ASSERT_EQ(space.shell("ip link add ipsec7 type veth peer name other7"), 0);
  model::Setup setup;
  setup.interfaces = {{"ipsec7", 7}};
  network->close();
  network = std::make_unique<Network>(setup, state, log);
  const auto opened = space.in([&] { return network->open(); });
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message,
            "ipsec-interface=7: there is a device ipsec7 already, which is no XFRM interface with if_id 7: remove it "
            "(ip link delete ipsec7) or write another number");
}

}  // namespace
}  // namespace cygnet::daemon
