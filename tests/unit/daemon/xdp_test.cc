// SPDX-License-Identifier: Apache-2.0
// Two ends of a veth in a namespace: one writes frames, the other has the program and takes what is meant for it.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "daemon/engine_role/esp_ports.h"
#include "io/clock.h"
#include "io/ether_frame.h"
#include "io/rtnetlink.h"
#include "io/xdp_port.h"
#include "io/xdp_program.h"
#include "network_namespace.h"

namespace cygnet::daemon {
namespace {

constexpr io::MacAddress kMacA{0x02, 0, 0, 0, 0, 0x0a};
constexpr io::MacAddress kMacB{0x02, 0, 0, 0, 0, 0x0b};
const io::XdpShape kShape{};

class Xdp : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!there_.usable() ||
        there_.shell("ip link add xa type veth peer name xb && ip link set xa address 02:00:00:00:00:0a up && "
                     "ip link set xb address 02:00:00:00:00:0b up && ip addr add 192.0.2.2/24 dev xb") != 0) {
      GTEST_SKIP() << "no network namespace here";
    }
    there_.in([&] {
      auto netlink = io::RouteSocket::open();
      ASSERT_TRUE(netlink);
      const auto links = netlink->links();
      ASSERT_TRUE(links);
      for (const auto& link : *links) {
        if (link.name == "xa") a_ = link;
        if (link.name == "xb") b_ = link;
      }
    });
    ASSERT_EQ(a_.mac, kMacA);
    ASSERT_EQ(b_.mac, kMacB);
  }

  // A port of this interface; with `diversion` it is where that leads to.
  std::unique_ptr<io::XdpPort> port(const io::Link& link, io::EspDiversion* diversion) {
    return there_.in([&]() -> std::unique_ptr<io::XdpPort> {
      auto socket = io::open_xdp_socket(link.index, 0, kShape);
      if (!socket) {
        ADD_FAILURE() << socket.error().message;
        return nullptr;
      }
      EXPECT_FALSE(socket->busy);
      if (diversion != nullptr) {
        EXPECT_TRUE(diversion->set_socket(0, socket->socket.get()));
      }
      auto mapped = io::XdpPort::map(std::move(*socket), kShape);
      EXPECT_TRUE(mapped) << (mapped ? "" : mapped.error().message);
      return mapped ? std::move(*mapped) : nullptr;
    });
  }
  Result<io::EspDiversion> divert(std::uint32_t none_with = 0) {
    return there_.in([&] {
      auto made = io::EspDiversion::attach({.index = b_.index, .mac = kMacB}, none_with, kShape.largest_frame());
      if (made) {
        EXPECT_TRUE(made->set_addresses({*IpAddress::parse("192.0.2.2"), *IpAddress::parse("2001:db8::2")}));
      }
      return made;
    });
  }
  static Bytes frame(const std::string& to, std::uint32_t spi, std::size_t esp_octets = 64) {
    const auto destination = *IpAddress::parse(to);
    Bytes out(2000);
    const auto front = io::write_esp_headers(
        out.data(),
        {.source_mac = kMacA,
         .destination_mac = kMacB,
         .source = destination.is_v4() ? *IpAddress::parse("192.0.2.1") : *IpAddress::parse("2001:db8::1"),
         .destination = destination,
         .dont_fragment = true},
        esp_octets);
    out.resize(front + esp_octets);
    store_be32(out.data() + front, spi);
    return out;
  }
  static void send(io::XdpPort& from, const Bytes& frame) {
    auto room = from.frame();
    ASSERT_GE(room.size(), frame.size());
    std::ranges::copy(frame, room.begin());
    from.push(frame.size());
    from.flush();
  }
  // The next frame's SPI; 0: none comes.
  static std::uint32_t next(io::XdpPort& at) {
    pollfd waiting{at.fd(), POLLIN, 0};
    (void)::poll(&waiting, 1, 200);
    std::uint32_t spi = 0;
    for (const auto& came : at.receive()) {
      const auto esp = io::parse_esp_frame(came);
      if (!esp) {
        ADD_FAILURE() << "no ESP";
        continue;
      }
      EXPECT_EQ(spi, 0U);
      spi = load_be32(esp->esp.data());
    }
    at.give_back();
    return spi;
  }

  NetworkNamespace there_;
  io::Link a_, b_;
};

TEST_F(Xdp, EspForUsComesAndNothingElse) {
  auto diversion = divert(0x80000000);
  ASSERT_TRUE(diversion) << diversion.error().message;
  auto from = port(a_, nullptr);
  auto to = port(b_, &*diversion);
  ASSERT_TRUE(from && to);
  send(*from, frame("192.0.2.2", 0x1001));
  EXPECT_EQ(next(*to), 0x1001U);
  send(*from, frame("2001:db8::2", 0x1002));
  EXPECT_EQ(next(*to), 0x1002U);
  send(*from, frame("192.0.2.2", 0x1003, 1700));
  EXPECT_EQ(next(*to), 0U) << "larger than the interface takes";
  // All these stay with the kernel.
  send(*from, frame("192.0.2.9", 1));  // for another host
  send(*from, frame("2001:db8::9", 2));
  send(*from, frame("192.0.2.2", 0x80000003));  // an SA of the kernel's
  auto other = frame("192.0.2.2", 4);
  other[5] = 0x0c;  // another host's MAC
  send(*from, other);
  other = frame("192.0.2.2", 5);
  other[20] = 0x20;  // a fragment
  send(*from, other);
  other = frame("192.0.2.2", 6);
  other[14] = 0x46;  // options
  send(*from, other);
  other = frame("192.0.2.2", 7);
  other[23] = 17;  // UDP
  send(*from, other);
  other = frame("2001:db8::2", 8);
  other[20] = 60;  // an extension header
  send(*from, other);
  other = frame("192.0.2.2", 9);
  other.resize(14 + 20 + 7);  // no room for ESP's header
  send(*from, other);
  EXPECT_EQ(next(*to), 0U);
  // An address less, an address more.
  EXPECT_TRUE(diversion->set_addresses({*IpAddress::parse("192.0.2.9")}));
  send(*from, frame("192.0.2.2", 10));
  EXPECT_EQ(next(*to), 0U);
  send(*from, frame("192.0.2.9", 11));
  EXPECT_EQ(next(*to), 11U);
}

TEST_F(Xdp, ManyPacketsKeepTheirOrderAndLoseNone) {
  auto diversion = divert();
  ASSERT_TRUE(diversion) << diversion.error().message;
  auto from = port(a_, nullptr);
  auto to = port(b_, &*diversion);
  ASSERT_TRUE(from && to);
  // Several times round all rings.
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 200; ++i) {
      const auto one = frame("192.0.2.2", ++sent, 1400);
      auto room = from->frame();
      ASSERT_GE(room.size(), one.size());
      std::ranges::copy(one, room.begin());
      from->push(one.size());
    }
    from->flush();
    for (;;) {
      pollfd waiting{to->fd(), POLLIN, 0};
      (void)::poll(&waiting, 1, received < sent ? 500 : 0);
      const auto frames = to->receive();
      if (frames.empty()) break;
      for (const auto& came : frames) {
        const auto esp = io::parse_esp_frame(came);
        ASSERT_TRUE(esp);
        ASSERT_EQ(load_be32(esp->esp.data()), ++received);
      }
      to->give_back();
    }
  }
  EXPECT_EQ(received, 12'000U);
  EXPECT_EQ(from->refused(), 0U);
}

TEST_F(Xdp, WithoutASocketOrAfterItTheKernelHasThePackets) {
  auto raw = there_.in([&] { return io::UniqueFd(::socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ESP)); });
  ASSERT_TRUE(raw);
  const auto raw_has_one = [&] {
    pollfd waiting{raw.get(), POLLIN, 0};
    (void)::poll(&waiting, 1, 200);
    std::array<char, 2048> buffer{};
    return ::recv(raw.get(), buffer.data(), buffer.size(), 0) > 0;
  };
  ASSERT_EQ(there_.shell("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.xb.rp_filter=0"), 0);
  auto from = port(a_, nullptr);
  ASSERT_TRUE(from);
  {
    auto diversion = divert();
    ASSERT_TRUE(diversion) << diversion.error().message;
    send(*from, frame("192.0.2.2", 1));
    EXPECT_TRUE(raw_has_one()) << "no socket yet";
    {
      auto to = port(b_, &*diversion);
      ASSERT_TRUE(to);
      send(*from, frame("192.0.2.2", 2));
      EXPECT_EQ(next(*to), 2U);
      EXPECT_FALSE(raw_has_one());
      // One program an interface, one socket a queue.
      EXPECT_FALSE(divert());
      const auto second = there_.in([&] { return io::open_xdp_socket(b_.index, 0, kShape); });
      ASSERT_TRUE(second);
      EXPECT_TRUE(second->busy);
    }
    send(*from, frame("192.0.2.2", 3));
    EXPECT_TRUE(raw_has_one()) << "the socket is closed";
  }
  EXPECT_EQ(there_.shell("ip -d link show xb | grep -q xdp"), 1) << "the program went with its object";
  send(*from, frame("192.0.2.2", 4));
  EXPECT_TRUE(raw_has_one());
}

TEST_F(Xdp, AnInterfaceThatIsDownBreaksThePort) {
  auto from = port(a_, nullptr);
  ASSERT_TRUE(from);
  ASSERT_EQ(there_.shell("ip link set xa down"), 0);
  send(*from, frame("192.0.2.2", 1));
  EXPECT_TRUE(from->broken());
  EXPECT_TRUE(from->frame().empty());
}

TEST_F(Xdp, NeighboursAreFoundAndTheirChangesTold) {
  there_.in([&] {
    auto netlink = io::RouteSocket::open();
    auto changes = io::open_neighbour_changes();
    ASSERT_TRUE(netlink && changes);
    const auto who = *IpAddress::parse("192.0.2.7");
    const auto now = [&] { return netlink->neighbour(b_.index, who)->mac; };
    EXPECT_EQ(now(), std::nullopt);
    ASSERT_EQ(there_.shell("ip neigh add 192.0.2.7 dev xb lladdr 02:00:00:00:00:0c nud stale"), 0);
    EXPECT_EQ(now(), (io::MacAddress{2, 0, 0, 0, 0, 0x0c}));
    ASSERT_EQ(there_.shell("ip neigh change 192.0.2.7 dev xb lladdr 02:00:00:00:00:0d nud permanent && "
                           "ip neigh del 192.0.2.7 dev xb"),
              0);
    std::vector<std::optional<io::MacAddress>> told;
    EXPECT_TRUE(io::read_neighbour_changes(changes->get(), [&](const io::Neighbour& n) {
      if (n.address == who && n.device == b_.index) told.push_back(n.mac);
    }));
    ASSERT_GE(told.size(), 3U);
    EXPECT_EQ(told[0], (io::MacAddress{2, 0, 0, 0, 0, 0x0c}));
    EXPECT_EQ(told[1], (io::MacAddress{2, 0, 0, 0, 0, 0x0d}));
    EXPECT_EQ(told.back(), std::nullopt);
    EXPECT_EQ(now(), std::nullopt);
  });
}

// ---- the engine's end

struct Silent final : Logger {
  void write(const LogEntry&) override {}
};

class Ports : public Xdp {
 protected:
  void SetUp() override {
    Xdp::SetUp();
    if (IsSkipped()) return;
    poller_ = std::make_unique<io::Poller>(std::move(*io::Poller::make()));
    ports_ =
        std::make_unique<EspPorts>(*poller_, log_, [this](const WantNextHops& wanted) { asked_.push_back(wanted); });
  }
  // As the monitor tells it.
  void open(const io::Link& link, io::EspDiversion* diversion) {
    there_.in([&] {
      auto socket = io::open_xdp_socket(link.index, 0, kShape);
      ASSERT_TRUE(socket && !socket->busy);
      if (diversion != nullptr) {
        ASSERT_TRUE(diversion->set_socket(0, socket->socket.get()));
      }
      std::vector<io::UniqueFd> fds;
      fds.push_back(std::move(socket->socket));
      fds.push_back(std::move(socket->memory));
      ports_->on_monitor(EspInterface{static_cast<std::uint32_t>(link.index), link.name, kShape.frame_octets},
                         std::move(fds));
    });
  }
  void tell_hop(bool usable = true) {
    ports_->on_monitor(NextHops{{{.local = kFrom,
                                  .remote = kTo,
                                  .usable = usable,
                                  .interface = static_cast<std::uint32_t>(a_.index),
                                  .source = kFrom,
                                  .source_mac = kMacA,
                                  .destination_mac = kMacB,
                                  .mtu = 1500}}},
                       {});
  }
  EspPorts::Way send(ByteView data, std::size_t segment = 0, std::chrono::milliseconds later = {}) {
    return ports_->send({.local = {kFrom, 0},
                         .remote = {kTo, 0},
                         .dont_fragment = true,
                         .tos = 3,
                         .data = data,
                         .segment_octets = segment},
                        kNow + later);
  }

  const IpAddress kFrom = *IpAddress::parse("192.0.2.1"), kTo = *IpAddress::parse("192.0.2.2");
  const Instant kNow{std::chrono::hours(1)};
  Silent log_;
  std::unique_ptr<io::Poller> poller_;
  std::vector<WantNextHops> asked_;
  std::unique_ptr<EspPorts> ports_;
};

TEST_F(Ports, SendWhatTheyKnowAndLeaveTheRest) {
  using Way = EspPorts::Way;
  auto diversion = divert();
  ASSERT_TRUE(diversion) << diversion.error().message;
  auto to = port(b_, &*diversion);
  ASSERT_TRUE(to);
  Bytes data(350);
  for (std::uint32_t i = 0; i < 4; ++i) store_be32(&data[i * 100], i + 1);
  EXPECT_EQ(send(data), Way::kBySocket);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_TRUE(asked_[0].anew);
  EXPECT_EQ(asked_[0].list, (std::vector<WantNextHops::Way>{{kFrom, kTo}}));
  open(a_, nullptr);
  EXPECT_EQ(send(data), Way::kBySocket);
  tell_hop(false);
  EXPECT_EQ(send(data), Way::kBySocket);
  tell_hop();
  EXPECT_EQ(send(data, 100), Way::kSent);
  EXPECT_EQ(ports_->flush(), 0U);
  // Four packets, the last one shorter, with all that was asked for.
  std::uint32_t number = 0;
  while (number < 4) {
    pollfd waiting{to->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 1000), 1);
    for (const auto& came : to->receive()) {
      const auto esp = io::parse_esp_frame(came);
      ASSERT_TRUE(esp);
      EXPECT_EQ(load_be32(esp->esp.data()), ++number);
      EXPECT_EQ(esp->esp.size(), number == 4 ? 50U : 100U);
      EXPECT_EQ(esp->remote, kFrom);
      EXPECT_EQ(esp->local, kTo);
      EXPECT_EQ(esp->tos, 3);
      EXPECT_EQ(came[20], 0x40);
    }
    to->give_back();
  }
  EXPECT_EQ(asked_.size(), 1U);
  // The MTU is 1500, with the IP header.
  const Bytes fits(1480);
  const Bytes too_large(1481);
  EXPECT_EQ(send(fits), Way::kSent);
  EXPECT_EQ(send(too_large), Way::kInOrder);
  // Its turn by the socket, once in two seconds.
  EXPECT_EQ(send(data, 0, std::chrono::milliseconds(1999)), Way::kSent);
  EXPECT_EQ(send(data, 0, std::chrono::milliseconds(2000)), Way::kInOrder);
  EXPECT_EQ(send(data, 0, std::chrono::milliseconds(2001)), Way::kSent);
  EXPECT_EQ(ports_->flush(), 0U);
  EXPECT_EQ(ports_->statistics(), (std::vector<sadb::EspInterface>{{"xa", 0, 7}}));
  ports_->on_monitor(EspInterfaceGone{static_cast<std::uint32_t>(a_.index)}, {});
  EXPECT_EQ(send(data), Way::kBySocket);
  EXPECT_TRUE(ports_->statistics().empty());
  // What carries another mark is routed for itself.
  EXPECT_EQ(ports_->send({.local = {kFrom, 0}, .remote = {kTo, 9}, .mark = 7, .data = data}, kNow), Way::kBySocket);
}

TEST_F(Ports, TakeWhatComes) {
  auto diversion = divert();
  ASSERT_TRUE(diversion) << diversion.error().message;
  open(b_, &*diversion);
  auto from = port(a_, nullptr);
  ASSERT_TRUE(from);
  Xdp::send(*from, frame("192.0.2.2", 77));
  auto unsound = frame("192.0.2.2", 78);
  unsound[22] = 1;  // TTL: the checksum is wrong
  Xdp::send(*from, unsound);
  std::size_t malformed = 0;
  std::size_t received = 0;
  while (received + malformed < 2) {
    const auto ready = poller_->wait(io::SystemClock::now() + std::chrono::seconds(2));
    ASSERT_EQ(ready.size(), 1U);
    EXPECT_EQ(ready[0].token, EspPorts::kFirstToken);
    for (const auto& datagram : ports_->receive(ready[0].token, malformed)) {
      EXPECT_EQ(load_be32(datagram.bytes.data()), 77U);
      EXPECT_EQ(datagram.local, (Endpoint{kTo, 0}));
      EXPECT_EQ(datagram.remote, (Endpoint{kFrom, 0}));
      ++received;
    }
    ports_->give_back(EspPorts::kFirstToken);
  }
  EXPECT_EQ(malformed, 1U);
  EXPECT_EQ(ports_->statistics(), (std::vector<sadb::EspInterface>{{"xb", 1, 0}}));
  // Tokens of what is not there, or not any more.
  EXPECT_TRUE(ports_->receive(EspPorts::kFirstToken + 1, malformed).empty());
  EXPECT_TRUE(ports_->receive(0xffffffff, malformed).empty());
  ports_->on_monitor(EspInterfaceGone{static_cast<std::uint32_t>(b_.index)}, {});
  EXPECT_TRUE(ports_->receive(EspPorts::kFirstToken, malformed).empty());
  ports_->give_back(EspPorts::kFirstToken);
}

TEST_F(Ports, AFullTableIsForgottenSeldom) {
  const auto ask_about = [&](std::uint32_t peer, std::chrono::seconds later) {
    (void)ports_->send({.local = {kFrom, 0}, .remote = {IpAddress::v4(peer), 0}, .data = Bytes(20)}, kNow + later);
  };
  for (std::uint32_t peer = 1; peer <= kMostNextHops; ++peer) ask_about(peer, {});
  EXPECT_EQ(asked_.size(), kMostNextHops);
  ask_about(5000, {});
  EXPECT_EQ(asked_.size(), kMostNextHops + 1);
  EXPECT_TRUE(asked_.back().anew) << "the first time at once";
  for (std::uint32_t peer = 1; peer < kMostNextHops; ++peer) ask_about(peer, {});
  asked_.clear();
  ask_about(6000, std::chrono::seconds(9));
  EXPECT_TRUE(asked_.empty());
  ask_about(6000, std::chrono::seconds(10));
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_TRUE(asked_[0].anew);
}

TEST(XdpShape, FramesFitOrThereAreNone) {
  EXPECT_EQ(io::XdpShape::for_frames_of(1514).frame_octets, 2048U);
  EXPECT_EQ(io::XdpShape::for_frames_of(1792).frame_octets, 2048U);
  EXPECT_EQ(io::XdpShape::for_frames_of(1793).frame_octets, 4096U);
  EXPECT_EQ(io::XdpShape::for_frames_of(3840).frame_octets, 4096U);
  EXPECT_EQ(io::XdpShape::for_frames_of(3841).frame_octets, 0U);
}

}  // namespace
}  // namespace cygnet::daemon
