// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/name_servers.h"

#include <filesystem>
#include <fstream>

#include "unit/daemon/network_fixture.h"

namespace cygnet::daemon {
namespace {

using Addresses = std::set<IpAddress>;

class NameServersTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
  NameServers with(const std::string& resolv_conf) {
    std::ofstream(paths.resolv_conf) << resolv_conf;
    return name_servers(paths);
  }
  static IpAddress ip(const char* text) { return *IpAddress::parse(text); }

  const std::string folder = "/tmp/cygnet-name-servers-" + std::to_string(::getpid());
  const NameServerPaths paths{
      .resolv_conf = folder + "/resolv.conf", .resolved_dir = folder + "/resolve", .nscd_socket = folder + "/nscd"};
};

TEST_F(NameServersTest, ThoseOfTheFileAreAskedByWhoWantsToKnow) {
  const auto found = with(
      "# nameserver 192.0.2.9\nsearch a.test\nnameserver 192.0.2.53\n  nameserver\tfe80::53%eth0 \nnameserver\n"
      "nameserver none\nnameservers 192.0.2.8\n");
  EXPECT_EQ(found.list, (Addresses{ip("192.0.2.53"), ip("fe80::53")}));
  EXPECT_FALSE(found.anybody);
  EXPECT_FALSE(found.by_others);
}

TEST_F(NameServersTest, WhomAProgramOfThisMachineAsksIsNotKnown) {
  for (const char* text : {"nameserver 127.0.0.1\n", "nameserver ::1\nnameserver 192.0.2.53\n", "nameserver 0.0.0.0\n",
                           "", "search a.test\n", "nameserver 127.0.0.53\n"}) {
    const auto found = with(text);
    EXPECT_TRUE(found.anybody) << text;
    EXPECT_TRUE(found.by_others) << text;
  }
  std::filesystem::remove(paths.resolv_conf);
  EXPECT_TRUE(name_servers(paths).anybody);
}

TEST_F(NameServersTest, WhomSystemdResolvedAsksItSays) {
  std::filesystem::create_directories(paths.resolved_dir);
  std::ofstream(paths.resolved_dir + "/resolv.conf") << "nameserver 192.0.2.54\n";
  auto found = with("nameserver 127.0.0.53\n");
  EXPECT_EQ(found.list, Addresses{ip("192.0.2.54")});
  EXPECT_FALSE(found.anybody);
  EXPECT_TRUE(found.by_others);
  // The C library may ask both.
  found = with("nameserver 192.0.2.53\n");
  EXPECT_EQ(found.list, (Addresses{ip("192.0.2.53"), ip("192.0.2.54")}));
  EXPECT_FALSE(found.anybody);
  EXPECT_TRUE(with("nameserver 127.0.0.1\n").anybody);
}

TEST_F(NameServersTest, NscdAsksForPrograms) {
  std::ofstream(paths.nscd_socket) << "";
  const auto found = with("nameserver 192.0.2.53\n");
  EXPECT_TRUE(found.by_others);
  EXPECT_FALSE(found.anybody);
}

TEST_F(NameServersTest, ThereAreNotManyOfThem) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "nameserver 192.0.2." + std::to_string(i + 1) + '\n';
  EXPECT_EQ(with(text).list.size(), NameServers::kMost);
}

// ---- what the monitor does with them

class QuestionsTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (network == nullptr) return;
    file = state + ".resolv";
    serve("nameserver 198.51.100.53\n");
    ASSERT_TRUE(ask(kAddRoute, "0.0.0.0/0"));
  }
  void TearDown() override {
    io::remove_file(file);
    NetworkTest::TearDown();
  }
  void serve(const std::string& text) {
    std::ofstream(file) << text;
    network->set_asker(4711, {.resolv_conf = file, .resolved_dir = state + ".none", .nscd_socket = state + ".none"});
  }
  void let_out(bool out) {
    const auto what = out ? NetworkRequest::What::kAddQuestions : NetworkRequest::What::kRemoveQuestions;
    space.in([&] { ASSERT_TRUE(network->apply(NetworkRequest{.what = what})); });
  }
  // In the words of `ip route get`.
  bool leaves(const std::string& packet) {
    return space.shell("ip route get " + packet + " 2>&1 | grep -q 'dev wan'") == 0;
  }
  bool has_rules() { return space.shell("ip rule | grep -q dport") == 0; }
  std::string file;
  static constexpr const char* kAsked = "198.51.100.53 ipproto udp dport 53 uid 4711";
};

TEST_F(QuestionsTest, OnlyTheQuestionsOfWhoAsksLeave) {
  EXPECT_FALSE(leaves(kAsked));
  let_out(true);
  EXPECT_TRUE(leaves(kAsked));
  EXPECT_TRUE(leaves("198.51.100.53 ipproto tcp dport 53 uid 4711"));
  EXPECT_TRUE(leaves("198.51.100.53 ipproto udp dport 853 uid 4711"));
  EXPECT_TRUE(leaves("198.51.100.53 ipproto tcp dport 853 uid 4711"));
  EXPECT_FALSE(leaves("198.51.100.53 ipproto udp dport 53 uid 4712"));
  EXPECT_FALSE(leaves("198.51.100.53 ipproto udp dport 53 uid 0"));
  EXPECT_FALSE(leaves("198.51.100.53 ipproto udp dport 54 uid 4711"));
  EXPECT_FALSE(leaves("198.51.100.53 ipproto sctp dport 53 uid 4711"));
  EXPECT_FALSE(leaves("198.51.100.54 ipproto udp dport 53 uid 4711"));
  EXPECT_FALSE(leaves("198.51.100.53 from 10.1.0.77 iif lan ipproto udp dport 53"));
  // Another server, when it is asked for again.
  serve("nameserver 198.51.100.54\n");
  let_out(true);
  EXPECT_FALSE(leaves(kAsked));
  EXPECT_TRUE(leaves("198.51.100.54 ipproto udp dport 53 uid 4711"));
  let_out(false);
  EXPECT_FALSE(leaves("198.51.100.54 ipproto udp dport 53 uid 4711"));
  EXPECT_FALSE(has_rules());
}

TEST_F(QuestionsTest, WhereAProgramOfThisMachineAsksItsQuestionsLeaveWhereverTheyGo) {
  serve("nameserver 127.0.0.1\n");
  let_out(true);
  EXPECT_TRUE(leaves("203.0.113.53 ipproto udp dport 53 uid 0"));
  EXPECT_TRUE(leaves("203.0.113.53 ipproto tcp dport 853 uid 99"));
  EXPECT_FALSE(leaves("203.0.113.53 ipproto tcp dport 443 uid 99"));
  EXPECT_FALSE(leaves("203.0.113.53 from 10.1.0.77 iif lan ipproto udp dport 53"));
}

TEST_F(QuestionsTest, OnlyAnswersComeIn) {
  const std::string udp = " 17 00352329000c0000deadbeef";
  const std::string to_us = "198.51.100.53 192.0.2.1";
  const auto tcp = [](const char* flags) {
    return std::string(" 6 003523290000000000000000") + "50" + flags + "ffff00000000";
  };
  const std::vector<std::string> answers{to_us + udp, to_us + tcp("12"), to_us + tcp("10")};
  EXPECT_EQ(refused(answers), 3U);
  let_out(true);
  EXPECT_EQ(refused(answers), 0U);
  EXPECT_EQ(refused({to_us + tcp("02"), to_us + " 17 00362329000c0000deadbeef", "198.51.100.54 192.0.2.1" + udp,
                     "198.51.100.53 10.1.0.77" + udp}),
            4U);
  let_out(false);
  EXPECT_EQ(refused(answers), 3U);
}

// The kernel numbers a rule that has no number one less than the first: right before the questions.
TEST_F(QuestionsTest, TheyStayRightBeforeOurRule) {
  let_out(true);
  ASSERT_EQ(space.shell("ip rule add from 10.9.0.0/16 lookup main"), 0);
  space.in([&] { (void)network->repair(); });
  EXPECT_FALSE(leaves("198.51.100.9 from 10.9.0.1 iif lan"));
  EXPECT_TRUE(leaves(kAsked));
  let_out(false);
  space.in([&] { (void)network->repair(); });
  EXPECT_FALSE(leaves("198.51.100.9 from 10.9.0.1 iif lan"));
  EXPECT_FALSE(leaves(kAsked));
  // What somebody takes away is put back.
  let_out(true);
  ASSERT_EQ(space.shell("while ip rule del ipproto udp dport 53 to 198.51.100.53 2>/dev/null; do :; done"), 0);
  EXPECT_FALSE(leaves(kAsked));
  space.in([&] { (void)network->repair(); });
  EXPECT_TRUE(leaves(kAsked));
}

TEST_F(QuestionsTest, AnotherIkeAsksAnewOrTheyEnd) {
  let_out(true);
  space.in([&] { network->begin_sync(); });
  EXPECT_TRUE(leaves(kAsked));
  let_out(true);
  space.in([&] { network->end_sync(); });
  EXPECT_TRUE(leaves(kAsked));
  space.in([&] {
    network->begin_sync();
    network->end_sync();
  });
  EXPECT_FALSE(has_rules());
  let_out(true);
  space.in([&] { network->close(); });
  EXPECT_FALSE(has_rules());
}

TEST_F(QuestionsTest, TheNextMonitorTakesThemBack) {
  let_out(true);
  network = nullptr;  // killed
  ASSERT_TRUE(has_rules());
  begin();
  EXPECT_FALSE(has_rules());
}

TEST_F(QuestionsTest, TheEngineDoesNotAskForThem) {
  space.in([&] {
    network->apply_for_engine(NetworkRequests{{NetworkRequest{.what = NetworkRequest::What::kAddQuestions}}});
  });
  EXPECT_FALSE(has_rules());
}

}  // namespace
}  // namespace cygnet::daemon
