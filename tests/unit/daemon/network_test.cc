// SPDX-License-Identifier: Apache-2.0

// What the monitor sets in the kernel, in a network namespace of its own.
#include "daemon/monitor/network.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <fstream>
#include <iomanip>
#include <memory>
#include <sstream>

#include "io/process.h"
#include "unit/daemon/network_namespace.h"

namespace cygnet::daemon {
namespace {

class KeptLog final : public Logger {
 public:
  void write(const LogEntry& entry) override { text += entry.message + '\n'; }
  std::string text;
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
    begin();
  }
  void TearDown() override { io::remove_file(state); }

  void begin() {
    network = std::make_unique<Network>(model::Setup{}, state, log);
    network->set_bounds({.addresses = {IpRange::of(ip("10.5.0.1"))}, .assigned_addresses = false, .proxied = {}});
    space.in([&] { ASSERT_TRUE(network->open()); });
  }
  static IpAddress ip(const char* text) { return *IpAddress::parse(text); }

  // Packets that come in by `wan` are written to its other end: "SOURCE DESTINATION PROTOCOL HEX-OF-PAYLOAD".
  // How many of them were refused.
  std::uint64_t refused(const std::vector<std::string>& packets) {
    space.in([&] { network->settle_gate(); });
    std::string script = R"(
import socket, ipaddress, fcntl
def mac(d): return fcntl.ioctl(out, 0x8927, d.encode().ljust(40, b'\0'))[18:24]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); out.bind(('wan2', 0))
def send(src, dst, proto, load):
    s, d, load = ipaddress.ip_address(src), ipaddress.ip_address(dst), bytes.fromhex(load)
    if s.version == 4:
        h = bytearray(b'\x45\0' + (20 + len(load)).to_bytes(2, 'big') + b'\0\1\0\0\x40' + bytes([proto]) + b'\0\0' + s.packed + d.packed)
        c = sum(int.from_bytes(h[i:i+2], 'big') for i in range(0, 20, 2)); c = (c & 0xffff) + (c >> 16)
        h[10:12] = (~((c & 0xffff) + (c >> 16)) & 0xffff).to_bytes(2, 'big'); t = b'\x08\0'
    else:
        h = b'\x60\0\0\0' + len(load).to_bytes(2, 'big') + bytes([proto, 255]) + s.packed + d.packed; t = b'\x86\xdd'
    out.send(mac('wan') + mac('wan2') + t + bytes(h) + load)
)";
    for (const auto& packet : packets) {
      std::istringstream words(packet);
      std::string source, destination, protocol, load;
      words >> source >> destination >> protocol >> load;
      script.append("send('").append(source).append("', '").append(destination).append("', ");
      script.append(protocol).append(", '").append(load).append("')\n");
    }
    const std::string file = state + ".py";
    std::ofstream(file) << script;
    EXPECT_EQ(space.shell("python3 " + file), 0);
    io::remove_file(file);
    return space.in([&] {
      const auto before = network->gate().refused();
      network->gate().look();
      return network->gate().refused() - before;
    });
  }
  Result<void> guard(NetworkRequest::What what, const char* remote, const char* local, std::uint32_t order = 0) {
    NetworkRequest request{.what = what, .prefix = {}, .device = "ipsec0", .source = {}};
    request.guard_order = order;
    request.guarded_remote = *model::TrafficSelector::parse(remote);
    request.guarded_local = *model::TrafficSelector::parse(local);
    return space.in([&] { return network->apply(request); });
  }

  Result<void> ask(NetworkRequest::What what, const char* prefix, const char* source = nullptr,
                   const char* device = "ipsec0") {
    NetworkRequest request{.what = what, .prefix = *IpPrefix::parse(prefix), .device = device};
    if (source != nullptr) {
      request.source = IpAddress::parse(source);
    }
    return space.in([&] { return network->apply(request); });
  }
  // What programs of PF_KEY had the engine ask for.
  void programs_ask(NetworkRequest::What what, const char* prefix) {
    const NetworkRequest request{.what = what, .prefix = *IpPrefix::parse(prefix), .device = "ipsec0", .source = {}};
    space.in([&] { network->apply_for_engine(NetworkRequests{{request}}); });
  }
  void programs_lead(const char* prefix) {
    programs_ask(kAddRoute, prefix);
    programs_ask(NetworkRequest::What::kAddClear, prefix);
  }
  // Whether `ip route get` takes the device.
  bool leads_to(const char* destination, const char* device) {
    return space.shell(std::string("ip route get ") + destination + " 2>/dev/null | grep -q ' dev " + device + " '") ==
           0;
  }

  NetworkNamespace space;
  KeptLog log;
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

// ---- what comes from outside in the clear. udp: 9000 -> 9001
constexpr const char* kUdp = " 17 23282329000c0000deadbeef";

TEST_F(NetworkTest, ClearTextOfAProtectedNetworkIsRefused) {
  ASSERT_EQ(network->gate().problem(), "");
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp, std::string("10.2.0.5 10.1.0.77") + kUdp}), 2U);
  EXPECT_EQ(refused({std::string("198.51.100.1 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(kRemoveRoute, "10.2.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
}

// A tunnel that covers its own peer, and everybody else.
TEST_F(NetworkTest, WhatIsNotClearTextAndWhatIsAttachedComesIn) {
  ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  ASSERT_TRUE(ask(kAddRoute, "::/0"));
  ASSERT_EQ(space.shell("ip addr add 2001:db8::1/64 dev wan nodad"), 0);
  const std::string from = "198.51.100.9 192.0.2.1 ";
  EXPECT_EQ(refused({from + "50 1111111100000001", from + "51 1111111100000001", from + "17 01f401f4000c000000000000",
                     from + "17 c3501194000c000000000000"}),
            0U);
  // An attached host; neighbour discovery of one that a tunnel is for.
  EXPECT_EQ(refused({std::string("192.0.2.77 192.0.2.1") + kUdp, "fe80::1 ff02::1 17 23282329000c0000deadbeef",
                     "2001:db8:9::9 2001:db8::1 58 8700000000000000" + std::string(32, '0')}),
            0U);
  // Routers say what became of our ESP and our UDP 4500; of anything else they may not.
  const std::string quoted = "4500002000000000401100000a0000010a000002";
  const std::string quoted_esp = "4500002000000000403200000a0000010a000002";
  EXPECT_EQ(refused({from + "1 0304000000000578" + quoted_esp + "1111111100000001",
                     from + "1 0304000000000578" + quoted + "1194119400080000"}),
            0U);
  EXPECT_EQ(refused({from + "1 0304000000000578" + quoted + "0035119400080000"}), 1U);
  EXPECT_EQ(
      refused({from + "17 01f50035000c000000000000", "198.51.100.9 10.1.0.77 17 119411940008000000000000",
               "198.51.100.9 10.1.0.77 50 1111111100000001", "2001:db8:9::9 2001:db8::1 17 23282329000c0000deadbeef"}),
      4U);
}

TEST_F(NetworkTest, WhereSomePortsAreProtectedOnlyThoseAreRefused) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.3.0/24"));  // inside the other
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[icmp/8]", "10.1.0.0/16[icmp]"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[tcp]", "10.1.0.0/16[tcp/80-90]"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 17 23272329000c0000deadbeef"}), 0U);
  EXPECT_EQ(refused({std::string("10.2.0.5 192.0.2.1") + kUdp}), 0U);  // not to a network that is protected
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 1 0800f7ff00000000"}), 1U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 1 0000ffff00000000"}), 0U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 6 1234005a" + std::string(32, '0')}), 1U);
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 6 1234005b" + std::string(32, '0')}), 0U);
  // Of equal order, what refuses goes first; of lower order, what allows.
  ASSERT_TRUE(guard(NetworkRequest::What::kAddExempt, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16", "10.1.0.0/16", 7));
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 17 23272329000c0000deadbeef"}), 1U);
  ASSERT_TRUE(guard(NetworkRequest::What::kAddExempt, "10.2.0.0/16", "10.1.0.0/16", 6));
  EXPECT_EQ(refused({"10.2.0.5 10.1.0.1 17 23272329000c0000deadbeef"}), 0U);
  ASSERT_TRUE(guard(NetworkRequest::What::kRemoveGuard, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(NetworkRequest::What::kRemoveClear, "10.2.0.0/16"));
  // Now 10.2.3.0/24 alone is clear, and of it all, as of order 6.
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp, std::string("10.2.3.5 10.1.0.1") + kUdp}), 1U);
}

TEST_F(NetworkTest, ThePacketFilterIsToldOnceHoweverMuchIsAsked) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  space.in([&] { network->settle_gate(); });
  EXPECT_FALSE(network->gate_unsettled());
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.2.0.0/16[udp/9000]", "10.1.0.0/16[udp]"));
  EXPECT_TRUE(network->gate_unsettled());
  EXPECT_NE(space.shell("nft list table inet cygnet_4359 | grep -q 10.2.0.0"), 0);
  space.in([&] { network->settle_gate(); });
  EXPECT_FALSE(network->gate_unsettled());
  EXPECT_EQ(space.shell("nft list table inet cygnet_4359 | grep -q 10.2.0.0"), 0);
}

TEST_F(NetworkTest, WhatDiffersInTheRemoteEndAloneIsOneRule) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  const auto rules = [&] {
    const auto text = network->gate().exceptions_text();
    std::size_t count = 0;
    for (auto at = text.find("add rule"); at != std::string::npos; at = text.find("add rule", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(rules(), 1U);
  for (int i = 0; i < 300; ++i) {
    const auto host = "10.2.0." + std::to_string(i % 250);
    const auto port = std::to_string(5000 + i);
    ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, (host + "[udp/" + port + "]").c_str(), "10.1.0.1[udp/1701]"));
    ASSERT_TRUE(guard(NetworkRequest::What::kAddGuard, ("10.2." + std::to_string(i % 250) + ".0/25[udp]").c_str(),
                      "10.1.0.77[udp/1702]"));
  }
  EXPECT_EQ(rules(), 3U);
  const auto l2tp = [&](const char* from, int source, const char* to, int destination) {
    std::ostringstream load;
    load << from << ' ' << to << " 17 " << std::hex << std::setfill('0') << std::setw(4) << source << std::setw(4)
         << destination << "000c0000deadbeef";
    return load.str();
  };
  EXPECT_EQ(refused({l2tp("10.2.0.7", 5007, "10.1.0.1", 1701), l2tp("10.2.0.7", 5257, "10.1.0.1", 1701),
                     l2tp("10.2.9.127", 1, "10.1.0.77", 1702)}),
            3U);
  EXPECT_EQ(refused({l2tp("10.2.0.7", 5008, "10.1.0.1", 1701), l2tp("10.2.0.7", 5007, "10.1.0.1", 1702),
                     l2tp("10.2.9.128", 1, "10.1.0.77", 1702)}),
            0U);
}

// Above the limit: what is protected is refused, and said; what has nothing to do with it comes in.
TEST_F(NetworkTest, MorePoliciesThanThePacketFilterTakesAreRefusedAsAWhole) {
  std::vector<NetworkRequest> requests;
  const auto add = [&](NetworkRequest::What what, const char* remote, const std::string& local) {
    NetworkRequest request{.what = what, .prefix = {}, .device = "ipsec0", .source = {}};
    request.guarded_remote = *model::TrafficSelector::parse(remote);
    request.guarded_local = *model::TrafficSelector::parse(local);
    requests.push_back(request);
  };
  for (int port = 1; port <= 2010; ++port) {
    add(NetworkRequest::What::kAddGuard, "10.2.3.0/24[udp]", "10.1.0.1[udp/" + std::to_string(port) + "]");
  }
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.0.0/16"));
  ASSERT_TRUE(space.in([&] { return network->apply(requests); }).empty());
  EXPECT_EQ(refused({"10.2.3.5 10.1.0.1 17 2328000a000c0000deadbeef", std::string("10.2.3.5 10.1.0.1") + kUdp}), 2U);
  EXPECT_NE(log.text.find("of the remote networks of the rest all clear text is refused"), std::string::npos);
  ASSERT_TRUE(ask(kAddRoute, "10.6.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.6.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.4.5 10.1.0.1") + kUdp, std::string("10.6.0.5 10.1.0.1") + kUdp}), 0U);
  for (auto& request : requests) request.what = NetworkRequest::What::kRemoveGuard;
  ASSERT_TRUE(space.in([&] { return network->apply(requests); }).empty());
  EXPECT_EQ(refused({std::string("10.2.3.5 10.1.0.1") + kUdp}), 0U);
}

// A process that was taken over asks for whatever it can.
TEST_F(NetworkTest, TheTextForThePacketFilterIsBounded) {
  std::vector<NetworkRequest> requests;
  for (std::uint32_t i = 0; i < Network::kMostGuarded + 5; ++i) {
    NetworkRequest request{.what = NetworkRequest::What::kAddGuard, .prefix = {}, .device = "ipsec0", .source = {}};
    request.guarded_remote = model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000 + 2 * i)));
    request.guarded_local = *model::TrafficSelector::parse("10.1.0.0/16");
    requests.push_back(request);
  }
  EXPECT_EQ(space.in([&] { return network->apply(requests); }).size(), 5U);
  requests.resize(1);
  requests[0].what = NetworkRequest::What::kRemoveGuard;
  EXPECT_TRUE(space.in([&] { return network->apply(requests); }).empty());
  EXPECT_TRUE(guard(NetworkRequest::What::kAddGuard, "10.200.0.0/16", "10.1.0.0/16"));
}

TEST_F(NetworkTest, ProgramsDoNotOpenWhatIkeProtects) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.3.0/24"));
  ASSERT_TRUE(ask(kAddRoute, "10.4.0.0/16"));
  const std::vector<std::string> packets{std::string("10.2.3.5 10.1.0.1") + kUdp,
                                         std::string("10.2.9.5 10.1.0.1") + kUdp,
                                         std::string("10.4.7.5 10.1.0.1") + kUdp};
  programs_lead("10.2.0.0/16");  // around one of ike's
  programs_lead("10.4.7.0/24");  // inside the other
  EXPECT_EQ(refused(packets), 1U);
  // What ike lets in itself is its own business.
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.2.3.0/24"));
  EXPECT_EQ(refused(packets), 0U);
  ASSERT_TRUE(ask(NetworkRequest::What::kRemoveClear, "10.2.3.0/24"));
  EXPECT_EQ(refused(packets), 1U);
  // The same network of both.
  programs_lead("10.4.0.0/16");
  EXPECT_EQ(refused(packets), 2U);
  // A new ike has not asked yet: it stays as it was.
  network->begin_sync();
  EXPECT_EQ(refused(packets), 2U);
  space.in([&] { network->end_sync(); });
  EXPECT_EQ(refused(packets), 0U);
}

TEST_F(NetworkTest, WhatProgramsLetInEndsWithTheEngine) {
  programs_lead("10.2.0.0/16");
  ASSERT_TRUE(ask(kAddRoute, "10.4.0.0/16"));
  ASSERT_TRUE(ask(NetworkRequest::What::kAddClear, "10.4.0.0/16"));
  programs_lead("10.4.0.0/16");
  const std::vector<std::string> packets{std::string("10.2.0.5 10.1.0.1") + kUdp,
                                         std::string("10.4.0.5 10.1.0.1") + kUdp};
  EXPECT_EQ(refused(packets), 0U);
  space.in([&] { network->on_engine_gone(); });
  EXPECT_EQ(refused(packets), 1U);
  EXPECT_TRUE(leads_to("10.2.0.1", "ipsec0"));
  // The program is back, and ends in order.
  programs_lead("10.2.0.0/16");
  EXPECT_EQ(refused(packets), 0U);
  programs_ask(NetworkRequest::What::kRemoveClear, "10.2.0.0/16");
  programs_ask(kRemoveRoute, "10.2.0.0/16");
  EXPECT_TRUE(leads_to("10.2.0.1", "wan"));
}

// Networks between tunnel ends, at cloud providers.
TEST_F(NetworkTest, LinkLocalAddressesOfATunnelAreRefusedInTheClear) {
  EXPECT_EQ(refused({std::string("169.254.10.1 10.1.0.1") + kUdp}), 0U);
  ASSERT_TRUE(ask(kAddRoute, "169.254.10.0/30"));
  EXPECT_EQ(refused({std::string("169.254.10.1 10.1.0.1") + kUdp}), 1U);
}

TEST_F(NetworkTest, AFlushedPacketFilterIsPutBack) {
  ASSERT_TRUE(ask(kAddRoute, "10.2.0.0/16"));
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  ASSERT_EQ(space.shell("nft flush ruleset"), 0);
  space.in([&] { network->gate().look(); });
  EXPECT_EQ(refused({std::string("10.2.0.5 10.1.0.1") + kUdp}), 1U);
  EXPECT_EQ(network->gate().refused(), 2U);
  space.in([&] { network->close(); });
  EXPECT_NE(space.shell("nft list table inet cygnet_4359 >/dev/null 2>&1"), 0);
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
    EXPECT_TRUE(io::drain_route_changes(changes->get(), network->ours()));
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
  EXPECT_FALSE(io::drain_route_changes(changes->get(), network->ours()));
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

// ---- what ike may not ask for

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

}  // namespace
}  // namespace cygnet::daemon
