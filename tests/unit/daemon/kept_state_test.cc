// SPDX-License-Identifier: Apache-2.0
// What the monitor keeps for processes that somebody else may have taken over: leases, certificates on tokens.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "daemon/monitor/lease_keeper.h"
#include "daemon/monitor/tokens.h"

namespace cygnet::daemon {
namespace {

using namespace std::chrono_literals;

struct Log final : Logger {
  void write(const LogEntry& entry) override { text += entry.message + '\n'; }
  std::string text;
};

class LeaseKeeperTest : public ::testing::Test {
 protected:
  LeaseKeeperTest() {
    std::string name = (std::filesystem::temp_directory_path() / "cygnet-keeper-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~LeaseKeeperTest() override { std::filesystem::remove_all(folder_); }
  static store::LeaseChange given(std::uint32_t address, std::size_t octets = 5) {
    return {{IpAddress::v4(address), {model::IdType::kKeyId, Bytes(octets)}, 7}, false};
  }
  static store::LeaseChange forgotten(std::uint32_t address) { return {{IpAddress::v4(address), {}, 0}, true}; }
  // As long as that, nothing more comes into the file.
  static void with_full_disk(const std::function<void()>& act) {
    rlimit before{};
    (void)::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, before.rlim_max};
    (void)::setrlimit(RLIMIT_FSIZE, &none);
    act();
    (void)::setrlimit(RLIMIT_FSIZE, &before);
    (void)std::signal(SIGXFSZ, handler);
  }
  void wait(Duration time) {
    loop_.after(time, [this] { loop_.stop(); });
    loop_.restart();
    loop_.run();
  }
  [[nodiscard]] std::vector<std::string> in_file() const {
    Log log;
    io::EventLoop loop;
    LeaseKeeper other(loop, log);
    other.open(folder_);
    std::vector<std::string> out;
    for (const auto& lease : other.leases()) out.push_back(lease.address.to_string());
    std::ranges::sort(out);
    return out;
  }

  std::string folder_;
  io::EventLoop loop_;
  Log log_;
};

TEST_F(LeaseKeeperTest, WhatComesAndGoesWhileTheDiskIsFullTakesNoRoom) {
  LeaseKeeper keeper(loop_, log_);
  keeper.open(folder_);
  keeper.on_changes({{given(1), given(2)}});
  wait(200ms);
  EXPECT_EQ(keeper.unsaved(), 0U);
  with_full_disk([&] {
    for (std::uint32_t i = 100; i < 20100; ++i) keeper.on_changes({{given(i), forgotten(i), forgotten(1'000'000 + i)}});
    wait(200ms);
    EXPECT_EQ(keeper.unsaved(), 0U);
    // What the file knows must be taken out of it.
    keeper.on_changes({{forgotten(1), given(3)}});
    wait(200ms);
    EXPECT_EQ(keeper.unsaved(), 2U);
    EXPECT_NE(log_.text.find("Addresses are given all the same"), std::string::npos) << log_.text;
    // Given to somebody else before that is done, and forgotten again.
    keeper.on_changes({{given(1), forgotten(1), given(3), given(2), forgotten(2), given(2)}});
    EXPECT_EQ(keeper.unsaved(), 3U);
  });
  keeper.close();
  EXPECT_EQ(in_file(), (std::vector<std::string>{"0.0.0.2", "0.0.0.3"}));
}

TEST_F(LeaseKeeperTest, WhatIsLostAtTheEndIsTold) {
  LeaseKeeper keeper(loop_, log_);
  keeper.open(folder_);
  with_full_disk([&] {
    keeper.on_changes({{given(1)}});
    keeper.close();
  });
  EXPECT_NE(log_.text.find("1 changes of leases are lost"), std::string::npos) << log_.text;
}

TEST_F(LeaseKeeperTest, LongIdentitiesHaveABoundOfTheirOwn) {
  LeaseKeeper keeper(loop_, log_);  // in memory
  constexpr std::size_t kLong = 1UL << 20U;
  for (std::uint32_t i = 0; i < 200; ++i) keeper.on_changes({{given(i, kLong)}});
  EXPECT_EQ(keeper.leases().size(), LeaseKeeper::kMostIdentityOctets / kLong);
  EXPECT_EQ(std::ranges::count(log_.text, '\n'), 1);
  keeper.on_changes({{forgotten(0), given(500, kLong)}});
  EXPECT_EQ(keeper.leases().back().address, IpAddress::v4(500));
}

TEST(TokenCertificates, OnlyWhatIsAskedForIsKept) {
  std::map<std::string, std::string> known;
  const std::set<std::string> asked{"pkcs11:object=a", "pkcs11:object=b"};
  EXPECT_TRUE(take_certificates(known, asked, {{"pkcs11:object=a", {1}}}).changed);
  EXPECT_FALSE(take_certificates(known, asked, {{"pkcs11:object=a", {1}}}).changed);
  for (int i = 0; i < 100; ++i) {
    const auto news = take_certificates(
        known, asked,
        {{"pkcs11:object=x" + std::to_string(i), {1}}, {"pkcs11:object=b", Bytes(kMaxTokenCertificate + 1)}});
    EXPECT_EQ(news.left_out, 2U);
    EXPECT_FALSE(news.changed);
  }
  EXPECT_EQ(known, (std::map<std::string, std::string>{{"pkcs11:object=a", "\x01"}}));
  // One that is gone stays while it is asked for, and no longer.
  EXPECT_FALSE(take_certificates(known, asked, {}).changed);
  EXPECT_EQ(known.size(), 1U);
  (void)take_certificates(known, {"pkcs11:object=b"}, {});
  EXPECT_TRUE(known.empty());
}

}  // namespace
}  // namespace cygnet::daemon
