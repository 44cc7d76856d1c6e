// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/resolver.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "io/process.h"

namespace cygnet::daemon {
namespace {

struct Log final : Logger {
  void write(const LogEntry& entry) override { text += entry.message + '\n'; }
  std::string text;
};

class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() : old_path_(std::getenv("PATH")) {
    std::string name = (std::filesystem::temp_directory_path() / "cygnet-resolver-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
    std::filesystem::create_directories(folder_ + "/bin");
    std::filesystem::create_directories(folder_ + "/state");
    (void)::setenv("PATH", (folder_ + "/bin").c_str(), 1);
    paths_ = {folder_ + "/resolv.conf", folder_ + "/resolved", folder_ + "/state"};
    std::ofstream(paths_.resolv_conf) << kOriginal;
  }
  ~ResolverTest() override {
    (void)::setenv("PATH", old_path_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }
  static std::string text_of(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  [[nodiscard]] std::string conf() const { return text_of(paths_.resolv_conf); }
  [[nodiscard]] bool nothing_kept() const { return std::filesystem::is_empty(paths_.state_dir); }
  // A program that notes how it was called and what it was told.
  void fake(const std::string& name, const std::string& last_line = "exit 0") {
    const auto path = folder_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\n{ echo " << name << " \"$@\"; /bin/cat; } >>" << folder_ << "/calls\n"
                        << last_line << '\n';
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  // Enough time for a handful of programs.
  static void run_all(Resolver& resolver) {
    for (int i = 0; i < 150; ++i) {
      while (const auto ended = io::reap_child()) (void)resolver.on_child_ended(ended->pid, ended->how, ended->clean);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  [[nodiscard]] std::string calls() const { return text_of(folder_ + "/calls"); }
  static ResolverRequest ask(const char* connection, std::vector<const char*> servers,
                             std::vector<std::string> domains = {}) {
    ResolverRequest out{connection, "ipsec0", {}, std::move(domains)};
    for (const auto* server : servers) out.servers.push_back(*IpAddress::parse(server));
    return out;
  }

  static constexpr const char* kOriginal = "# mine\nnameserver 192.0.2.53\noptions edns0\n";
  std::string old_path_, folder_;
  ResolverPaths paths_;
  std::vector<std::string> devices_{"ipsec0"};
  io::EventLoop loop_;
  Log log_;
};

TEST_F(ResolverTest, TheFileIsWrittenAndComesBack) {
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53", "fd02::53"}), devices_);
  EXPECT_EQ(conf(), "# Written by cygnetd while a tunnel is up; the original is in " + paths_.state_dir +
                        "/resolv.conf.before and comes back.\nnameserver 10.2.0.53\nnameserver fd02::53\n"
                        "options edns0\n");
  resolver.request(ask("b", {"10.3.0.53"}, {"lab.example"}), devices_);
  EXPECT_NE(conf().find("nameserver fd02::53\nnameserver 10.3.0.53\nsearch lab.example\n"), std::string::npos);
  EXPECT_NE(log_.text.find("names of all domains are now asked of the peer's DNS servers"), std::string::npos);
  resolver.request(ask("a", {}), devices_);
  EXPECT_EQ(conf().find("10.2.0.53"), std::string::npos);
  resolver.request(ask("b", {}), devices_);
  EXPECT_EQ(conf(), kOriginal);
  EXPECT_TRUE(nothing_kept());
}

TEST_F(ResolverTest, WhatSomebodyElseWroteMeanwhileStays) {
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53"}), devices_);
  std::ofstream(paths_.resolv_conf) << "nameserver 192.0.2.99\n";
  resolver.close();
  EXPECT_EQ(conf(), "nameserver 192.0.2.99\n");
  EXPECT_TRUE(nothing_kept());
}

TEST_F(ResolverTest, TheNextStartTakesBackWhatAKilledOneLeft) {
  {
    Resolver killed(loop_, paths_, log_);
    killed.request(ask("a", {"10.2.0.53"}), devices_);
  }
  EXPECT_NE(conf(), kOriginal);
  Resolver next(loop_, paths_, log_);
  next.clean_up_earlier();
  EXPECT_EQ(conf(), kOriginal);
  EXPECT_TRUE(nothing_kept());
}

TEST_F(ResolverTest, ANewIkeKeepsWhatItAsksForAgain) {
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53"}), devices_);
  resolver.request(ask("b", {"10.3.0.53"}), devices_);
  resolver.begin_sync();
  resolver.request(ask("b", {"10.3.0.53"}), devices_);
  resolver.end_sync();
  EXPECT_EQ(conf().find("10.2.0.53"), std::string::npos);
  EXPECT_NE(conf().find("10.3.0.53"), std::string::npos);
}

TEST_F(ResolverTest, WhatNoPeerMayAskIsLeftOut) {
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"127.0.0.1"}), devices_);
  resolver.request({"b", "eth0", {*IpAddress::parse("10.2.0.53")}, {}}, devices_);
  EXPECT_EQ(conf(), kOriginal);
  resolver.request(ask("c", {"10.2.0.53"}, {"office.example", "x\nnameserver 192.0.2.66"}), devices_);
  EXPECT_NE(conf().find("search office.example\n"), std::string::npos);
  EXPECT_EQ(conf().find("192.0.2.66"), std::string::npos);
}

TEST_F(ResolverTest, ResolvedIsToldByDevice) {
  std::filesystem::create_directories(paths_.resolved_dir);
  fake("resolvectl");
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53"}, {"office.example"}), devices_);
  run_all(resolver);
  EXPECT_EQ(calls(),
            "resolvectl dns ipsec0 10.2.0.53\nresolvectl domain ipsec0 ~office.example\n"
            "resolvectl default-route ipsec0 no\n");
  EXPECT_EQ(text_of(paths_.state_dir + "/resolver"), "resolved ipsec0\n");
  EXPECT_EQ(conf(), kOriginal);
  resolver.request(ask("a", {}), devices_);
  run_all(resolver);
  EXPECT_TRUE(calls().ends_with("resolvectl revert ipsec0\n")) << calls();
  EXPECT_TRUE(nothing_kept());
  EXPECT_EQ(log_.text, "");
}

TEST_F(ResolverTest, ResolvconfGetsARecordThatIsTakenBackEvenInAHurry) {
  fake("resolvconf");
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53"}), devices_);
  run_all(resolver);
  EXPECT_EQ(calls(), "resolvconf -a tun.ipsec0 -m 0 -x\nnameserver 10.2.0.53\n");
  resolver.request(ask("a", {}), devices_);
  resolver.close();  // the command that takes it back has hardly begun
  EXPECT_TRUE(calls().ends_with("resolvconf -d tun.ipsec0 -f\n")) << calls();
  EXPECT_TRUE(nothing_kept());
}

// Half of it would send names where they do not belong.
TEST_F(ResolverTest, WhereOneProgramFailsTheDeviceIsAsBefore) {
  std::filesystem::create_directories(paths_.resolved_dir);
  fake("resolvectl", "[ $1 != domain ]");
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53"}, {"office.example"}), devices_);
  run_all(resolver);
  EXPECT_EQ(calls(),
            "resolvectl dns ipsec0 10.2.0.53\nresolvectl domain ipsec0 ~office.example\nresolvectl revert ipsec0\n");
  EXPECT_NE(log_.text.find("Names are looked up where they were before, not as the peer says: see to what it says, "
                           "then cygnet down and up"),
            std::string::npos)
      << log_.text;
  resolver.request(ask("a", {}), devices_);
  run_all(resolver);
  EXPECT_TRUE(nothing_kept());
}

// It is not forgotten before it is done.
TEST_F(ResolverTest, WhatCannotBeTakenBackIsTriedAgainAtTheEndAndByTheNextStart) {
  fake("resolvconf", "[ $1 != -d ] || [ -e " + folder_ + "/mended ]");
  {
    Resolver resolver(loop_, paths_, log_);
    resolver.request(ask("a", {"10.2.0.53"}), devices_);
    run_all(resolver);
    resolver.request(ask("a", {}), devices_);
    run_all(resolver);
    EXPECT_NE(log_.text.find("Names may still be asked of the peer's DNS servers: run it by hand"), std::string::npos);
    EXPECT_FALSE(nothing_kept());
    resolver.close();
    EXPECT_FALSE(nothing_kept());
  }
  std::ofstream(folder_ + "/mended") << "";
  Resolver next(loop_, paths_, log_);
  next.clean_up_earlier();
  EXPECT_TRUE(calls().ends_with("resolvconf -d tun.ipsec0 -f\n")) << calls();
  EXPECT_TRUE(nothing_kept());
}

// A taken-over ike changes its mind faster than programs run.
TEST_F(ResolverTest, WhatIsWantedMeanwhileDoesNotPileUp) {
  std::filesystem::create_directories(paths_.resolved_dir);
  fake("resolvectl");
  Resolver resolver(loop_, paths_, log_);
  for (int i = 0; i < 1000; ++i) {
    resolver.request(ask("a", {i % 2 == 0 ? "10.2.0.53" : "10.3.0.53"}), devices_);
    if (i % 3 == 0) resolver.request(ask("a", {}), devices_);
    EXPECT_LE(resolver.waiting(), 4U);
  }
  resolver.request(ask("a", {"10.4.0.53"}), devices_);
  run_all(resolver);
  run_all(resolver);
  EXPECT_TRUE(calls().find("resolvectl dns ipsec0 10.4.0.53\n") != std::string::npos) << calls();
  EXPECT_LE(std::ranges::count(calls(), '\n'), 8);
}

TEST_F(ResolverTest, SoManyConnectionsAndServersAndNoMore) {
  Resolver resolver(loop_, paths_, log_);
  for (std::size_t i = 0; i < Resolver::kMostConnections + 5; ++i) {
    auto asked = ask("x", {"10.2.0.53"});
    asked.connection = "c" + std::to_string(i);
    for (std::uint32_t k = 0; k < 200; ++k) asked.servers.push_back(IpAddress::v4(0x0a030000 + k));
    asked.domains.assign(200, "d" + std::to_string(i) + ".example");
    resolver.request(asked, devices_);
  }
  EXPECT_EQ(resolver.connections(), Resolver::kMostConnections);
  EXPECT_NE(log_.text.find("more than 256 connections have DNS servers of their peers: those of 'c256' and later ones "
                           "are not used"),
            std::string::npos);
  EXPECT_EQ(log_.text.find("'c257'"), std::string::npos);
}

// In place, so that a part of the text may be there when the disk is full.
TEST_F(ResolverTest, AFileThatIsWrittenHalfIsAsBefore) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  Resolver resolver(loop_, paths_, log_);
  const rlimit small{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  resolver.request(ask("a", {"10.2.0.53"}, {"a-name-that-takes-some-octets.example"}), devices_);
  const auto text = conf();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  (void)std::signal(SIGXFSZ, handler);
  EXPECT_EQ(text, kOriginal);
  EXPECT_NE(log_.text.find("names are still looked up where they were before. Make room"), std::string::npos)
      << log_.text;
  resolver.close();
  EXPECT_EQ(conf(), kOriginal);
}

TEST_F(ResolverTest, AProgramThatFailsIsQuoted) {
  fake("resolvconf", "echo 'no such thing' >&2; exit 3");
  Resolver resolver(loop_, paths_, log_);
  resolver.request(ask("a", {"10.2.0.53"}), devices_);
  run_all(resolver);
  EXPECT_NE(log_.text.find("`resolvconf -a tun.ipsec0 -m 0 -x` ended with exit status 3: no such thing"),
            std::string::npos)
      << log_.text;
}

}  // namespace
}  // namespace cygnet::daemon
