// SPDX-License-Identifier: Apache-2.0
#include "store/lease_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace cygnet::store {
namespace {

class LeaseStoreTest : public ::testing::Test {
 protected:
  LeaseStoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "cygnet-leases-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~LeaseStoreTest() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] std::string path() const { return folder_ + "/leases.db"; }

  std::string folder_;
};

LeaseRecord lease(const char* address, const char* id, std::uint64_t last) {
  return {*IpAddress::parse(address), *model::Identity::parse(id), last};
}
LeaseChange forgotten(const char* address) { return {{*IpAddress::parse(address), {}, 0}, true}; }

TEST_F(LeaseStoreTest, WhatWasSavedIsThereAgainTheLongestUnusedFirst) {
  const auto carol = lease("10.9.0.7", "@carol", 300);
  const auto dave = lease("fd09::8", "dave@example.org", 100);
  const auto nobody = LeaseRecord{*IpAddress::parse("10.9.0.9"), {model::IdType::kKeyId, {}}, 200};
  {
    auto opened = open_lease_store(path());
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->notice, "");
    EXPECT_TRUE(opened->store->load()->empty());
    ASSERT_TRUE(opened->store->save({{carol}, {dave}, {nobody}, {lease("10.9.0.1", "@eve", 50)}}));
    ASSERT_TRUE(opened->store->save({forgotten("10.9.0.1"), forgotten("10.9.0.200")}));
  }
  auto again = open_lease_store(path());
  ASSERT_TRUE(again);
  EXPECT_EQ(*again->store->load(), (std::vector<LeaseRecord>{dave, nobody, carol}));
  const auto given_on = lease("10.9.0.7", "@frank", 400);
  ASSERT_TRUE(again->store->save({{given_on}}));
  EXPECT_EQ(again->store->load()->back(), given_on);
}

TEST_F(LeaseStoreTest, ADamagedFileIsPutAsideAndSaidSo) {
  std::ofstream(path()) << std::string(5000, 'x');
  auto opened = open_lease_store(path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_NE(opened->notice.find("it stands aside as " + path() + ".damaged"), std::string::npos) << opened->notice;
  EXPECT_EQ(std::filesystem::file_size(path() + ".damaged"), 5000U);
  ASSERT_TRUE(opened->store->save({{lease("10.9.0.7", "@carol", 1)}}));
  EXPECT_EQ(opened->store->load()->size(), 1U);
}

TEST_F(LeaseStoreTest, DamageInsideIsFound) {
  {
    auto opened = open_lease_store(path());
    std::vector<LeaseChange> many;
    for (std::uint32_t i = 0; i < 2000; ++i)
      many.push_back({{IpAddress::v4(0x0a090000U + i), *model::Identity::parse("@carol"), i}});
    ASSERT_TRUE(opened->store->save(many));
  }
  std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3 * 4096);
  file << std::string(4096, '\x7f');
  file.close();
  const auto opened = open_lease_store(path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_NE(opened->notice.find("was damaged"), std::string::npos);
  EXPECT_TRUE(opened->store->load()->empty());
}

TEST_F(LeaseStoreTest, AFolderThatIsNotThereIsAnErrorThatNamesTheFile) {
  const auto opened = open_lease_store(folder_ + "/none/leases.db");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("/none/leases.db"), std::string::npos) << opened.error().message;
}

// A file size limit stands for the full disk: what does not fit is refused whole, and what was there stays.
TEST_F(LeaseStoreTest, AFullDiskRefusesAllOrNothing) {
  auto opened = open_lease_store(path());
  ASSERT_TRUE(opened);
  const auto carol = lease("10.9.0.7", "@carol", 1);
  ASSERT_TRUE(opened->store->save({{carol}}));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  (void)std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{64 * 1024, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::vector<LeaseChange> many;
  for (std::uint32_t i = 0; i < 20'000; ++i)
    many.push_back({{IpAddress::v4(0x0b000000U + i), *model::Identity::parse("@a-rather-long-name.example.org"), i}});
  const auto refused = opened->store->save(many);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  (void)std::signal(SIGXFSZ, SIG_DFL);
  ASSERT_FALSE(refused);
  EXPECT_FALSE(refused.error().message.empty());
  EXPECT_EQ(*opened->store->load(), std::vector<LeaseRecord>{carol});
  EXPECT_TRUE(opened->store->save(many));
}

}  // namespace
}  // namespace cygnet::store
