// SPDX-License-Identifier: Apache-2.0

// Two engine processes in two network namespaces, SAs installed by hand over sadb, real packets through the kernel:
//
//   a: ipsec0 10.1.0.1 -- engine -- veth 192.0.2.1 ===== 192.0.2.2 veth -- engine -- ipsec0 10.2.0.1 :b
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <thread>

#include "base/random.h"
#include "daemon/engine_role/engine_role.h"
#include "daemon/monitor/worker_queues.h"
#include "daemon/role_messages.h"
#include "io/log_sink.h"
#include "io/outer_socket.h"
#include "io/rtnetlink.h"
#include "io/tun.h"
#include "io/unix_socket.h"
#include "sadb/engine_client.h"
#include "unit/daemon/network_namespace.h"

namespace cygnet::daemon {
namespace {

constexpr std::uint32_t kMark = 0x43590000;
constexpr std::uint16_t kNatPort = 4500;

IpAddress ip(const char* text) { return IpAddress::parse(text).value_or(IpAddress{}); }
model::TrafficSelector net(const char* text) {
  return model::TrafficSelector::of(IpPrefix::parse(text).value_or(IpPrefix{}));
}

// Gives up after a while, so that a tunnel that carries nothing fails the test instead of hanging it.
io::UniqueFd open_tcp() {
  io::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{10, 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

// One host with a running engine process, driven as monitor and ike would.
class EngineHost {
 public:
  NetworkNamespace space;

  ~EngineHost() {
    monitor_.reset();
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  void start(io::EventLoop& loop, const char* address, const char* remote_net, std::uint32_t threads) {
    std::vector<io::UniqueFd> fds;
    std::vector<WorkerQueues> workers;
    StartEngine start{.devices = {"ipsec0"}, .sockets = {}, .log_level = Severity::kDebug};
    space.in([&] {
      auto tun = io::open_tun("ipsec0", threads > 1);
      ASSERT_TRUE(tun) << tun.error().message;
      auto netlink = io::RouteSocket::open();
      ASSERT_TRUE(netlink);
      ASSERT_TRUE(netlink->no_link_local_address(tun->index));
      ASSERT_TRUE(netlink->set_up(tun->index, 1400));
      ASSERT_TRUE(netlink->add_address(tun->index, ip(address)));
      ASSERT_TRUE(netlink->add_route({.destination = *IpPrefix::parse(remote_net), .device = tun->index}));
      auto udp = io::open_udp(Family::kV4, kNatPort, kMark, true, threads > 1);
      auto esp = io::open_esp(Family::kV4, kMark);
      ASSERT_TRUE(udp && esp);
      const std::vector<const io::OuterSocket*> sockets{&*udp, &*esp};
      auto queues = open_worker_queues(kMark, threads, {&*tun, 1}, sockets);
      ASSERT_TRUE(queues) << queues.error().message;
      workers = std::move(*queues);
      fds.push_back(std::move(tun->fd));
      for (auto* socket : {&*udp, &*esp}) {
        start.sockets.push_back({socket->kind, socket->family, socket->port});
        fds.push_back(std::move(socket->fd));
      }
    });
    auto pair = io::seqpacket_pair();
    ASSERT_TRUE(pair);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      pair->first.reset();
      io::StderrLogger log("engine");
      log.set_level(Severity::kError);
      ::_exit(serve_engine(std::move(pair->second), {.user = "nobody"}, log));
    }
    pair->second.reset();
    monitor_ = std::make_unique<io::Channel>(
        loop, std::move(pair->first), [this](const io::Message&) { ready = true; }, [] {});
    for (auto& worker : workers) {
      std::vector<io::UniqueFd> own = std::move(worker.devices);
      std::ranges::move(worker.sockets, std::back_inserter(own));
      ASSERT_TRUE(monitor_->send(encode(FromMonitor{EngineWorker{}}), std::move(own)));
    }
    ASSERT_TRUE(monitor_->send(encode(FromMonitor{start}), std::move(fds)));
    client.emplace(loop);
    new_ike();
  }

  void new_ike() {
    auto pair = io::seqpacket_pair();
    ASSERT_TRUE(pair);
    std::vector<io::UniqueFd> fds;
    fds.push_back(std::move(pair->first));
    ASSERT_TRUE(monitor_->send(encode(FromMonitor{NewPeer{}}), std::move(fds)));
    client->attach(std::move(pair->second));
  }

  bool ready = false;
  std::optional<sadb::EngineClient> client;

 private:
  pid_t pid_ = 0;
  std::unique_ptr<io::Channel> monitor_;
};

// With one thread and with several.
class EngineProcessTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !a.space.usable() || ::access("/dev/net/tun", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "needs root, network namespaces and /dev/net/tun";
    }
    ASSERT_EQ(a.space.shell("ip link set lo up && ip link add wan type veth peer name far && ip addr add 192.0.2.1/24 "
                            "dev wan && ip link set wan up"),
              0);
    ASSERT_EQ(a.space.shell("ip link set far netns /proc/" + std::to_string(::getpid()) + "/fd/" +
                            std::to_string(b.space.fd())),
              0);
    ASSERT_EQ(
        b.space.shell(
            "ip link set lo up && ip link set far name wan && ip addr add 192.0.2.2/24 dev wan && ip link set wan up"),
        0);
    a.start(loop, "10.1.0.1", "10.2.0.0/24", GetParam());
    b.start(loop, "10.2.0.1", "10.1.0.0/24", GetParam());
    ASSERT_TRUE(run_until([&] { return a.ready && b.ready; }));
  }

  template <typename F>
  bool run_until(F condition) {
    bool met = false;
    std::function<void()> look = [&] {
      met = met || condition();
      if (met) {
        loop.stop();
      } else {
        loop.after(std::chrono::milliseconds(5), look);
      }
    };
    look();
    if (met) {
      return true;
    }
    auto guard = loop.after(std::chrono::seconds(5), [&] { loop.stop(); });
    loop.restart();
    loop.run();
    loop.cancel(guard);
    return met;
  }

  static model::SaSpec sa(bool from_a, bool on_a, bool udp) {
    model::SaSpec spec{.direction = from_a == on_a ? model::Direction::kOutbound : model::Direction::kInbound,
                       .spi = Spi(from_a ? 0x1001 : 0x2002),
                       .child = model::ChildId(7),
                       .policy = model::PolicyId(1),
                       .connection = "test",
                       .child_name = "test",
                       .local = {ip(on_a ? "192.0.2.1" : "192.0.2.2"), kNatPort},
                       .remote = {ip(on_a ? "192.0.2.2" : "192.0.2.1"), kNatPort},
                       .udp_encapsulation = udp,
                       .encryption = model::EncryptionId::kAesGcm16,
                       .encryption_bits = 128,
                       .local_selectors = {net(on_a ? "10.1.0.0/24" : "10.2.0.0/24")},
                       .remote_selectors = {net(on_a ? "10.2.0.0/24" : "10.1.0.0/24")}};
    spec.encryption_key.assign(20, from_a ? 0x11 : 0x22);
    return spec;
  }

  void install(EngineHost& host, bool on_a, bool udp) {
    int answers = 0;
    const auto count = [&](const Result<void>& done) {
      EXPECT_TRUE(done) << done.error().message;
      ++answers;
    };
    const auto out = sa(on_a, on_a, udp);
    // The policy last: a packet that waits for it must find the SA.
    host.client->install_sa(sa(!on_a, on_a, udp), count);
    host.client->install_sa(out, count);
    host.client->install_policy(
        {.id = model::PolicyId(1), .local = out.local_selectors, .remote = out.remote_selectors}, count);
    ASSERT_TRUE(run_until([&] { return answers == 3; }));
  }

  sadb::Dump dump(EngineHost& host) {
    std::optional<sadb::Dump> found;
    host.client->query_sas(true, [&](Result<sadb::Dump> dump) { found = dump ? std::move(*dump) : sadb::Dump{}; });
    EXPECT_TRUE(run_until([&] { return found.has_value(); }));
    return found.value_or(sadb::Dump{});
  }

  static std::uint64_t packets(const sadb::Dump& dump, model::Direction direction) {
    std::uint64_t sum = 0;
    for (const auto& s : dump.sas) {
      sum += s.spec.direction == direction ? s.counters.packets : 0;
    }
    return sum;
  }

  io::EventLoop loop;
  EngineHost a, b;
};

TEST_P(EngineProcessTest, PingsThroughUdpEncapsulation) {
  install(a, true, true);
  install(b, false, true);
  EXPECT_EQ(a.space.shell("ping -q -c 3 -i 0.05 -W 2 10.2.0.1 >/dev/null"), 0);
  EXPECT_EQ(packets(dump(a), model::Direction::kOutbound), 3U);
  EXPECT_EQ(packets(dump(b), model::Direction::kInbound), 3U);
}

TEST_P(EngineProcessTest, PingsThroughPlainEsp) {
  install(a, true, false);
  install(b, false, false);
  EXPECT_EQ(a.space.shell("ping -q -c 3 -i 0.05 -W 2 -s 1200 10.2.0.1 >/dev/null"), 0);
  EXPECT_EQ(packets(dump(a), model::Direction::kInbound), 3U);
}

TEST_P(EngineProcessTest, CarriesAFileOverTcpUnchanged) {
  install(a, true, true);
  install(b, false, true);
  // Not a multiple of anything, and large enough for the kernel to hand over super-packets.
  SeededRandom random(42);
  const Bytes sent = random.bytes(20'000'003);
  const auto listener = b.space.in([] { return open_tcp(); });
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(5000);
  ::inet_pton(AF_INET, "10.2.0.1", &address.sin_addr);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const auto client = a.space.in([] { return open_tcp(); });
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const io::UniqueFd server(::accept(listener.get(), nullptr, nullptr));
  std::thread sender([&] {
    std::size_t at = 0;
    for (ssize_t n = 1; n > 0 && at < sent.size(); at += static_cast<std::size_t>(std::max<ssize_t>(n, 0))) {
      n = ::send(client.get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
    }
    ::shutdown(client.get(), SHUT_WR);
  });
  Bytes received;
  Bytes buffer(1 << 18);
  for (ssize_t n = 1; n > 0;) {
    n = ::recv(server.get(), buffer.data(), buffer.size(), 0);
    append(received, ByteView(buffer).first(static_cast<std::size_t>(std::max<ssize_t>(n, 0))));
  }
  sender.join();
  EXPECT_TRUE(received == sent) << received.size() << " of " << sent.size() << " octets";
}

TEST_P(EngineProcessTest, ANewIkeFindsSasKeysAndCheckpoints) {
  install(a, true, true);
  bool put = false;
  a.client->put_checkpoint("ike-1", {1, 2, 3}, [&](const Result<void>& done) { put = static_cast<bool>(done); });
  ASSERT_TRUE(run_until([&] { return put; }));
  a.new_ike();
  const auto found = dump(a);
  ASSERT_EQ(found.sas.size(), 2U);
  EXPECT_EQ(found.sas[0].spec.encryption_key.size(), 20U);
  ASSERT_EQ(found.checkpoints.size(), 1U);
  EXPECT_EQ(found.checkpoints[0], (std::pair<std::string, Bytes>{"ike-1", {1, 2, 3}}));
  EXPECT_EQ(found.policies.size(), 1U);
}

TEST_P(EngineProcessTest, PacketsWaitForTheTunnel) {
  std::optional<sadb::Acquire> asked;
  a.client->set_event_handler([&](const sadb::Event& event) {
    if (const auto* acquire = std::get_if<sadb::Acquire>(&event)) {
      asked = *acquire;
    }
  });
  const auto out = sa(true, true, true);
  a.client->install_policy(
      {.id = model::PolicyId(1), .local = out.local_selectors, .remote = out.remote_selectors, .acquire = true}, {});
  install(b, false, true);
  ASSERT_EQ(a.space.shell("(ping -q -c 1 -W 4 10.2.0.1 >/dev/null; echo $? > /tmp/cygnet-engine-test.r) & sleep 0.1"),
            0);
  ASSERT_TRUE(run_until([&] { return asked.has_value(); }));
  EXPECT_EQ(asked->remote.range.first, ip("10.2.0.1"));
  EXPECT_EQ(asked->remote.protocol, 1);
  install(a, true, true);
  EXPECT_EQ(a.space.shell("for i in $(seq 50); do [ -s /tmp/cygnet-engine-test.r ] && break; sleep 0.1; done;"
                          " grep -qx 0 /tmp/cygnet-engine-test.r; r=$?; rm -f /tmp/cygnet-engine-test.r; exit $r"),
            0);
}

// Many flows at once, over one SA each way: whichever thread has which of them, all arrive and none is taken for a
// copy.
TEST_P(EngineProcessTest, ManyFlowsShareOneSa) {
  for (const bool udp : {true, false}) {
    install(a, true, udp);
    install(b, false, udp);
    EXPECT_EQ(a.space.shell(
                  "for i in $(seq 16); do ping -q -c 40 -i 0.01 -W 2 -s 700 10.2.0.1 >/dev/null & pids=\"$pids $!\"; "
                  "done; for p in $pids; do wait $p || exit 1; done"),
              0);
  }
  std::optional<sadb::Statistics> statistics;
  b.client->query_statistics([&](Result<sadb::Statistics> found) { statistics = found.value_or(sadb::Statistics{}); });
  ASSERT_TRUE(run_until([&] { return statistics.has_value(); }));
  EXPECT_EQ(statistics->packets_in, 2U * 16U * 40U);
  EXPECT_EQ(statistics->drops[static_cast<std::size_t>(DropReason::kReplaySeen)], 0U);
  EXPECT_EQ(statistics->drops[static_cast<std::size_t>(DropReason::kReplayOld)], 0U);
}

INSTANTIATE_TEST_SUITE_P(Threads, EngineProcessTest, ::testing::Values(1U, 3U));

}  // namespace
}  // namespace cygnet::daemon
