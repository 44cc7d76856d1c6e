// SPDX-License-Identifier: Apache-2.0

// What the monitor sets in the kernel, in a network namespace of its own.
#include "daemon/monitor/network.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "io/process.h"
#include "unit/daemon/network_namespace.h"

namespace cygnet::daemon {
namespace {

class SilentLog final : public Logger {
 public:
  void write(const LogEntry& /*entry*/) override {}
};

class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !space.usable() || ::access("/dev/net/tun", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "needs root, network namespaces and /dev/net/tun";
    }
    ASSERT_EQ(space.shell("ip link set lo up && ip link add lan type veth peer name lan2 && ip link set lan2 up && ip "
                          "addr add 10.1.0.1/24 dev lan && ip link set lan up"
                          " && ip link add wan type veth peer name wan2 && ip link set wan2 up && ip addr add "
                          "192.0.2.1/24 dev wan && ip link set wan up"
                          " && ip route add default via 192.0.2.254"),
              0);
    state = "/tmp/cygnet-network-test-" + std::to_string(::getpid());
    network = std::make_unique<Network>(model::Setup{}, state, log);
    space.in([&] { ASSERT_TRUE(network->open()); });
  }
  void TearDown() override { io::remove_file(state); }

  Result<void> ask(NetworkRequest::What what, const char* prefix, const char* source = nullptr,
                   const char* device = "ipsec0") {
    NetworkRequest request{.what = what, .prefix = *IpPrefix::parse(prefix), .device = device};
    if (source != nullptr) {
      request.source = IpAddress::parse(source);
    }
    return space.in([&] { return network->apply(request); });
  }
  // Whether `ip route get` takes the device.
  bool leads_to(const char* destination, const char* device) {
    return space.shell(std::string("ip route get ") + destination + " 2>/dev/null | grep -q ' dev " + device + " '") ==
           0;
  }

  NetworkNamespace space;
  SilentLog log;
  std::string state;
  std::unique_ptr<Network> network;
  static constexpr auto kAddRoute = NetworkRequest::What::kAddRoute;
  static constexpr auto kRemoveRoute = NetworkRequest::What::kRemoveRoute;
};

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
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_NE(errors[0].message.find("10.100.0.70/32"), std::string::npos);
  EXPECT_NE(errors[1].message.find("'none'"), std::string::npos);
  EXPECT_EQ(space.shell("test $(ip route show table 4359 | grep -c '^10.100.0.') = 148"), 0);
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
  EXPECT_NE(space.shell("ip rule | grep -q ^4359:"), 0);
  EXPECT_NE(space.shell("ip -6 rule | grep -q ^4359:"), 0);
  EXPECT_NE(space.shell("ip link show ipsec0 >/dev/null 2>&1"), 0);
  EXPECT_NE(::access(state.c_str(), F_OK), 0);
}

TEST_F(NetworkTest, WhatAKilledMonitorLeftIsRemovedAtTheNextStart) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  ASSERT_EQ(space.shell("ip route show table 4359 | grep -q throw"), 0);
  // As kill -9 does: descriptors close, nothing else happens.
  network.reset();
  EXPECT_EQ(space.shell("ip rule | grep -q ^4359:"), 0);
  // The next one is configured differently: only the state file knows the old numbers.
  model::Setup setup;
  setup.route_table = 5000;
  setup.rule_priority = 5000;
  network = std::make_unique<Network>(setup, state, log);
  space.in([&] { ASSERT_TRUE(network->open()); });
  EXPECT_NE(space.shell("ip rule | grep -q ^4359:"), 0);
  EXPECT_EQ(space.shell("ip rule | grep -q ^5000:"), 0);
  EXPECT_EQ(space.shell("test -z \"$(ip route show table 4359 2>/dev/null)\""), 0);
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

}  // namespace
}  // namespace cygnet::daemon
