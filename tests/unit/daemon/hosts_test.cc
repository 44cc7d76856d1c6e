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
  std::vector<IpAddress> look_up(const std::string& /*name*/) {
    std::unique_lock lock(mutex_);
    ++asked;
    changed_.wait(lock, [&] { return open_; });
    return {*IpAddress::parse("192.0.2.7")};
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
  hosts.on_changed([&] { ++changed; });
  for (int i = 0; i < 10; ++i) {
    hosts.resolve({to_name("slow.test")}, [&] {
      EXPECT_EQ(changed, 1);
      if (++told == 10) loop.stop();
    });
  }
  // Only then, so that all ten wait.
  loop.after(std::chrono::milliseconds(20), [&] { resolver.answer(); });
  loop.run();
  EXPECT_EQ(resolver.asked, 1);
  EXPECT_EQ(told, 10);
  // Answered: the next question is a new one, and brings nothing new.
  loop.restart();
  hosts.resolve({to_name("slow.test")}, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(resolver.asked, 2);
  EXPECT_EQ(changed, 1);
}

// The first name server is dead, the next one knows: the answer comes when nobody waits for it any more.
TEST(Hosts, AnAnswerThatComesLateCounts) {
  io::EventLoop loop;
  io::WorkPool pool(loop, 2);
  Resolver resolver;
  Hosts hosts(loop, pool, std::move(*io::RouteSocket::open()), {},
              [&](const std::string& name) { return resolver.look_up(name); });
  auto connection = to_name("slow.test");
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.0.0.1")};
  std::vector<std::string> shown;
  hosts.on_changed([&] {
    const auto oriented = hosts.orient({connection});
    shown.push_back(oriented.unusable.empty() ? "known" : oriented.unusable.at("c"));
    EXPECT_TRUE(oriented.asking.empty());
    if (oriented.unusable.empty()) loop.stop();
  });
  bool told = false;
  hosts.resolve({connection}, [&] {
    told = true;
    resolver.answer();
  });
  EXPECT_EQ(hosts.orient({connection}).unusable.at("c"), "the name slow.test is being looked up");
  EXPECT_TRUE(hosts.orient({connection}).asking.contains("c"));
  loop.after(std::chrono::seconds(10), [&] { loop.stop(); });
  loop.run();
  EXPECT_TRUE(told);
  ASSERT_EQ(shown.size(), 2U);
  EXPECT_EQ(shown[0].find("the name slow.test cannot be resolved"), 0U) << shown[0];
  EXPECT_EQ(shown[1], "known");
}

// One name that nobody answers for does not keep another one waiting.
TEST(Hosts, WhatIsAnsweredIsToldWhileOthersAreAwaited) {
  io::EventLoop loop;
  io::WorkPool pool(loop, 2);
  Resolver resolver;
  Hosts hosts(loop, pool, std::move(*io::RouteSocket::open()), {}, [&](const std::string& name) {
    return name == "slow.test" ? resolver.look_up(name) : std::vector{*IpAddress::parse("192.0.2.8")};
  });
  auto quick = to_name("quick.test");
  quick.name = "q";
  quick.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.0.0.1")};
  bool told = false, changed = false;
  hosts.on_changed([&] {
    changed = true;
    EXPECT_FALSE(told);
    const auto oriented = hosts.orient({to_name("slow.test"), quick});
    EXPECT_FALSE(oriented.unusable.contains("q"));
    EXPECT_TRUE(oriented.asking.contains("c"));
    loop.stop();
  });
  hosts.resolve({to_name("slow.test"), quick}, [&] { told = true; });
  loop.run();
  EXPECT_TRUE(changed);
  resolver.answer();
}

// Whoever answers for names cannot make this machine its own peer, and take its protection away with that.
TEST(Hosts, AnAddressOfOursForThePeersNameTurnsNoConnectionRound) {
  io::EventLoop loop;
  io::WorkPool pool(loop, 1);
  Hosts hosts(loop, pool, std::move(*io::RouteSocket::open()), {},
              [](const std::string&) { return std::vector{*IpAddress::parse("127.0.0.1")}; });
  auto connection = to_name("peer.test");
  connection.local.host = {.kind = model::HostSpec::Kind::kAny};
  connection.children.resize(1);
  connection.children[0].start = model::StartAction::kStart;
  hosts.resolve({connection}, [&] { loop.stop(); });
  loop.run();
  const auto oriented = hosts.orient({connection});
  ASSERT_EQ(oriented.waiting.size(), 1U);
  EXPECT_EQ(oriented.waiting[0].remote.host.name, "peer.test");
  EXPECT_FALSE(oriented.waiting[0].remote.host.has_address());
  EXPECT_NE(oriented.unusable.at("c").find("127.0.0.1, an address of this machine"), std::string::npos);
  // Whoever only answers may be named so.
  connection.children[0].start = model::StartAction::kAdd;
  const auto answers = hosts.orient({connection});
  ASSERT_EQ(answers.connections.size(), 1U);
  EXPECT_EQ(answers.connections[0].local.host.name, "peer.test");
}

// Where no name has an address.
class HostsWithoutNames : public testing::Test {
 protected:
  io::EventLoop loop;
  io::WorkPool pool{loop, 1};
  Hosts hosts{
      loop, pool, std::move(*io::RouteSocket::open()), {}, [](const std::string&) { return std::vector<IpAddress>(); }};
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

// What it protects is held back meanwhile.
TEST_F(HostsWithoutNames, AnAddressThatIsNotThereYetIsWaitedFor) {
  auto connection = to_name("peer.test");
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("203.0.113.5")};
  connection.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("198.51.100.9")};
  const auto oriented = hosts.orient({connection});
  ASSERT_EQ(oriented.waiting.size(), 1U);
  EXPECT_EQ(oriented.waiting[0].local.host.address, IpAddress::parse("203.0.113.5"));
  EXPECT_EQ(oriented.unusable.at("c").find("waiting for the address 203.0.113.5: "), 0U) << oriented.unusable.at("c");
  EXPECT_EQ(oriented.holding().size(), 1U);
  const auto some = hosts.orient_some({connection}, {});
  EXPECT_EQ(some.waiting.size(), 1U);
}

// Which end is ours is known by the networks where its address is not there yet.
TEST(Hosts, TheNetworksTellWhichEndIsOursWhereNoAddressDoes) {
  model::Connection connection{.name = "c"};
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("203.0.113.5")};
  connection.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("198.51.100.9")};
  connection.children.resize(1);
  const auto local_after = [&](const std::vector<std::string_view>& own, const char* left = "10.1.0.0/16",
                               const char* right = "10.2.0.0/16") {
    auto c = connection;
    c.children[0].local = {*model::TrafficSelector::parse(left)};
    c.children[0].remote = {*model::TrafficSelector::parse(right)};
    std::vector<IpAddress> addresses;
    for (const auto text : own) addresses.push_back(*IpAddress::parse(text));
    orient_by_networks(c, addresses);
    EXPECT_EQ(c.local.host == connection.local.host, c.children[0].local[0].to_string() == left);
    return c.children[0].local[0].to_string();
  };
  EXPECT_EQ(local_after({"10.1.0.1"}), "10.1.0.0/16");
  EXPECT_EQ(local_after({"10.2.0.1"}), "10.2.0.0/16");
  EXPECT_EQ(local_after({}), "10.1.0.0/16");
  EXPECT_EQ(local_after({"192.168.1.1"}), "10.1.0.0/16");
  // Everything has all of our addresses in it.
  EXPECT_EQ(local_after({"192.168.1.1", "10.2.0.1"}, "0.0.0.0/0"), "10.2.0.0/16");
  EXPECT_EQ(local_after({"192.168.1.1", "10.1.0.1"}, "10.1.0.0/16", "0.0.0.0/0"), "10.1.0.0/16");
  EXPECT_EQ(local_after({"127.0.0.1"}, "10.1.0.0/16", "127.0.0.0/8"), "10.1.0.0/16");
  EXPECT_EQ(local_after({"169.254.0.9"}, "10.1.0.0/16", "169.254.0.0/16"), "10.1.0.0/16");
  // Of several addresses only the peer has a choice.
  connection.local.alternatives = {connection.remote.host};
  EXPECT_EQ(local_after({}), "10.2.0.0/16");
}

// Two that cannot be told apart: one of them begins and answers no more, and what it protects stays protected.
TEST_F(HostsWithoutNames, WhatIsSetAsideGoesOnHolding) {
  auto first = to_name("peer.test");
  first.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.0.0.1")};
  first.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("198.51.100.9")};
  auto second = first;
  second.name = "d";
  auto oriented = hosts.orient({first, second});
  ASSERT_EQ(oriented.connections.size(), 2U);
  oriented.set_aside({{"d", "not to be told apart"}, {"e", "nobody here"}});
  ASSERT_EQ(oriented.connections.size(), 1U);
  EXPECT_EQ(oriented.connections[0].name, "c");
  ASSERT_EQ(oriented.waiting.size(), 1U);
  EXPECT_EQ(oriented.waiting[0].name, "d");
  EXPECT_EQ(oriented.unusable, (std::map<std::string, std::string>{{"d", "not to be told apart"}}));
  EXPECT_EQ(oriented.holding().size(), 2U);
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

// A name with several addresses: the peer is at one of them.
class NameWithMany : public testing::Test {
 protected:
  NameWithMany() {
    connection.local.host = {.kind = model::HostSpec::Kind::kAny};
    connection.remote.id = model::Identity::parse("@hub");
    connection.children.resize(1);
    connection.children[0].remote = {*model::TrafficSelector::parse("10.2.0.0/24")};
  }
  // Where the connection leads after this answer. Loopback addresses are ours, and all can be reached.
  std::string after(std::vector<const char*> answer) {
    answer_.clear();
    for (const auto* text : answer) answer_.push_back(*IpAddress::parse(text));
    hosts.resolve({connection}, [&] { loop.stop(); });
    loop.restart();
    loop.run();
    const auto oriented = hosts.orient({connection});
    if (oriented.connections.size() != 1) return oriented.unusable.at("c");
    const auto& peer = oriented.connections[0].remote;
    auto out = peer.host.address.to_string();
    for (const auto& other : peer.alternatives) {
      EXPECT_TRUE(other.has_address());
      out += " " + other.address.to_string();
    }
    return out;
  }

  model::Connection connection = to_name("many.test");
  std::vector<IpAddress> answer_;
  io::EventLoop loop;
  io::WorkPool pool{loop, 1};
  Hosts hosts{loop, pool, std::move(*io::RouteSocket::open()), {}, [this](const std::string&) { return answer_; }};
};

TEST_F(NameWithMany, FamiliesTakeTurnsAndNobodyChangesPlaces) {
  connection.local.host = {.kind = model::HostSpec::Kind::kAny};
  EXPECT_EQ(after({"127.1.0.1", "127.1.0.2"}), "127.1.0.1 127.1.0.2");
  EXPECT_EQ(after({"127.1.0.2", "127.1.0.1"}), "127.1.0.1 127.1.0.2") << "as each answer has another order";
  EXPECT_EQ(after({"127.1.0.3", "127.1.0.2"}), "127.1.0.2 127.1.0.3");
  EXPECT_EQ(after({}), "127.1.0.2 127.1.0.3") << "no answer says nothing";
  EXPECT_EQ(after({"127.1.0.9"}), "127.1.0.9");
  std::vector<const char*> many{"127.2.0.1", "127.2.0.2", "127.2.0.3", "127.2.0.4", "127.2.0.5",
                                "127.2.0.6", "127.2.0.7", "127.2.0.8", "127.2.0.9"};
  EXPECT_EQ(after(many), "127.2.0.1 127.2.0.2 127.2.0.3 127.2.0.4 127.2.0.5 127.2.0.6 127.2.0.7 127.2.0.8");
}

TEST_F(NameWithMany, OfAWrittenEndsFamilyAndNotOurOwn) {
  connection.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.0.0.1")};
  EXPECT_EQ(after({"2001:db8::1", "127.1.0.1", "127.0.0.1", "127.1.0.2"}), "127.1.0.1 127.1.0.2");
}

TEST_F(NameWithMany, StandBehindTheirNameAmongOthers) {
  connection.remote.alternatives = {
      {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("127.3.0.1")}};
  EXPECT_EQ(after({"127.1.0.1", "127.1.0.2"}), "127.1.0.1 127.1.0.2 127.3.0.1");
}

// Where the address says who the peer is, or what is protected, another address is somebody else.
TEST_F(NameWithMany, OnlyWhereThePeerIsNamed) {
  connection.remote.id.reset();
  EXPECT_EQ(after({"127.1.0.1", "127.1.0.2"}), "127.1.0.1");
  connection.remote.auth = model::AuthMethod::kSignature;
  EXPECT_EQ(after({"127.1.0.1", "127.1.0.2"}), "127.1.0.1 127.1.0.2") << "its certificate has the name";
  connection.children[0].remote.clear();
  EXPECT_EQ(after({"127.1.0.1", "127.1.0.2"}), "127.1.0.1");
}

}  // namespace
}  // namespace cygnet::daemon
