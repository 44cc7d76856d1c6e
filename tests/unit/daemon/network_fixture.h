// SPDX-License-Identifier: Apache-2.0
#pragma once

// The monitor's network in a namespace of its own, with a LAN and a way out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>

#include "daemon/monitor/network.h"
#include "io/process.h"
#include "unit/daemon/network_namespace.h"

namespace cygnet::daemon {

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

}  // namespace cygnet::daemon
