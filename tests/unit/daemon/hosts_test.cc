// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/hosts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace cygnet::daemon {
namespace {

model::Connection to_name(const std::string& name) {
  model::Connection c{.name = "c"};
  c.local.host.kind = model::HostSpec::Kind::kDefaultRoute;
  c.remote.host = {.kind = model::HostSpec::Kind::kName, .name = name};
  return c;
}

// A resolver that answers when it is told to.
class Resolver {
 public:
  std::optional<IpAddress> look_up(const std::string& /*name*/) {
    std::unique_lock lock(mutex_);
    ++asked;
    changed_.wait(lock, [&] { return open_; });
    return IpAddress::parse("192.0.2.7");
  }
  void answer() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  std::atomic<int> asked = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

TEST(Hosts, ANameUnderWayIsNotAskedForAgain) {
  io::EventLoop loop;
  io::WorkPool pool(loop, 2);
  auto netlink = io::RouteSocket::open();
  ASSERT_TRUE(netlink);
  Resolver resolver;
  Hosts hosts(loop, pool, std::move(*netlink), {}, [&](const std::string& name) { return resolver.look_up(name); });
  int told = 0, changed = 0;
  for (int i = 0; i < 10; ++i) {
    hosts.resolve({to_name("slow.test")}, [&](bool c) {
      ++told;
      changed += c ? 1 : 0;
      if (told == 10) loop.stop();
    });
  }
  // Only then, so that all ten wait.
  loop.after(std::chrono::milliseconds(20), [&] { resolver.answer(); });
  loop.run();
  EXPECT_EQ(resolver.asked, 1);
  EXPECT_EQ(told, 10);
  EXPECT_EQ(changed, 10);
  // Answered: the next question is a new one, and brings nothing new.
  loop.restart();
  hosts.resolve({to_name("slow.test")}, [&](bool c) {
    EXPECT_FALSE(c);
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(resolver.asked, 2);
}

// Where no name has an address.
class HostsWithoutNames : public testing::Test {
 protected:
  io::EventLoop loop;
  io::WorkPool pool{loop, 1};
  Hosts hosts{loop, pool, std::move(*io::RouteSocket::open()), {}, [](const std::string&) { return std::nullopt; }};
};

TEST_F(HostsWithoutNames, WhereATunnelLedIsRecalledUntilThereIsAnAnswer) {
  auto connection = to_name("peer.test");
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.0.0.1")};
  const auto unknown = hosts.orient({connection});
  EXPECT_EQ(unknown.connections.size(), 0U);
  // Its policies can hold packets back all the same.
  ASSERT_EQ(unknown.waiting.size(), 1U);
  EXPECT_EQ(unknown.waiting[0].remote.host.name, "peer.test");
  hosts.recall(connection, *IpAddress::parse("127.0.0.1"), *IpAddress::parse("198.51.100.9"));
  const auto oriented = hosts.orient({connection});
  ASSERT_EQ(oriented.connections.size(), 1U);
  EXPECT_EQ(oriented.connections[0].remote.host.address, IpAddress::parse("198.51.100.9"));
  EXPECT_TRUE(oriented.waiting.empty());
}

// The question for its peer's address would be held back as well, for ever.
TEST_F(HostsWithoutNames, ATunnelForEverythingHoldsNothingBackUntilItsPeerHasAnAddress) {
  auto connection = to_name("peer.test");
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.0.0.1")};
  connection.children.resize(1);
  connection.children[0].remote = {model::TrafficSelector::of(IpRange::all(Family::kV4))};
  EXPECT_TRUE(hosts.orient({connection}).waiting.empty());
  connection.children[0].remote = {model::TrafficSelector::of(*IpPrefix::parse("::/1")),
                                   model::TrafficSelector::of(*IpPrefix::parse("8000::/1"))};
  EXPECT_TRUE(hosts.orient({connection}).waiting.empty());
  connection.children[0].remote = {model::TrafficSelector::of(*IpPrefix::parse("10.2.0.0/16"))};
  EXPECT_EQ(hosts.orient({connection}).waiting.size(), 1U);
}

// ike was restarted while the address of this end is away: its tunnels are not to be given up for that.
TEST_F(HostsWithoutNames, AnAddressThatIsAwayIsRecalledFromTheTunnel) {
  auto connection = to_name("peer.test");
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("203.0.113.5")};
  connection.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("198.51.100.9")};
  EXPECT_EQ(hosts.orient({connection}).connections.size(), 0U);
  hosts.recall(connection, *IpAddress::parse("203.0.113.5"), *IpAddress::parse("198.51.100.9"));
  const auto oriented = hosts.orient({connection});
  ASSERT_EQ(oriented.connections.size(), 1U);
  EXPECT_EQ(oriented.connections[0].local.host.address, IpAddress::parse("203.0.113.5"));
  EXPECT_EQ(oriented.connections[0].remote.host.address, IpAddress::parse("198.51.100.9"));
}

}  // namespace
}  // namespace cygnet::daemon
