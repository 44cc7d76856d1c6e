// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/key_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>

#include "daemon/ike_role/key_jobs.h"

namespace cygnet::daemon {
namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

ike::KeyExchangeJob pair_job(std::uint64_t number, model::KeGroup group) {
  ike::KeyExchangeJob job;
  job.job = number;
  job.group = group;
  job.seed = SecretBytes(64);
  job.seed[0] = static_cast<std::uint8_t>(number);
  return job;
}

class KeyQueueTest : public testing::Test {
 protected:
  ~KeyQueueTest() override { free_threads(); }
  void add(std::uint64_t number, model::KeGroup group = model::KeGroup::kX25519) {
    queue_.add(pair_job(number, group));
  }
  // Both threads of the pool wait for something else.
  void occupy_threads() {
    const auto free = free_.get_future().share();
    for (int i = 0; i < 2; ++i) pool_.run([free] { free.wait(); }, [] {});
  }
  void free_threads() {
    if (!std::exchange(freed_, true)) free_.set_value();
  }
  // Until there are so many results, or for so long.
  void run(std::size_t wanted, Duration patience = kPatience) {
    wanted_ = wanted;
    loop_.restart();
    const auto timer = loop_.after(patience, [this] { loop_.stop(); });
    if (results_.size() < wanted_) loop_.run();
    loop_.cancel(timer);
  }
  void collect() {
    for (auto& result : queue_.take_results()) {
      EXPECT_TRUE(result.own) << result.error;
      EXPECT_TRUE(results_.emplace(result.job, result.own->public_value).second) << result.job << " came twice";
    }
    queue_.start();
    if (results_.size() >= wanted_) loop_.stop();
  }

  io::EventLoop loop_;
  io::WorkPool pool_{loop_, 2};
  KeyQueue queue_{loop_, pool_, [this] { collect(); }};
  std::promise<void> free_;
  bool freed_ = false;
  std::size_t wanted_ = 0;
  std::map<std::uint64_t, Bytes> results_;
};

TEST_F(KeyQueueTest, DoesEveryPieceOnceWhoeverTakesIt) {
  constexpr std::uint64_t kPieces = 200;
  for (std::uint64_t i = 1; i <= kPieces; ++i) {
    add(i, i % 20 == 0 ? model::KeGroup::kModp2048 : model::KeGroup::kX25519);
  }
  queue_.start();
  run(kPieces);
  ASSERT_EQ(results_.size(), kPieces);
  EXPECT_EQ(results_.begin()->first, 1U);
  EXPECT_EQ(results_.rbegin()->first, kPieces);
  for (const auto& [number, value] : results_) EXPECT_EQ(value.size(), number % 20 == 0 ? 256U : 32U) << number;
  EXPECT_EQ(results_.at(7), run_key_job(pair_job(7, model::KeGroup::kX25519)).own->public_value);
}

// A thread that gets no core keeps nothing from being done.
TEST_F(KeyQueueTest, TheLoopDoesAllThatIsQuickWhereNoThreadComes) {
  occupy_threads();
  for (std::uint64_t i = 1; i <= 100; ++i) add(i);
  queue_.start();
  run(100);
  EXPECT_EQ(results_.size(), 100U);
}

TEST_F(KeyQueueTest, WhatIsSlowWaitsForAThread) {
  occupy_threads();
  for (std::uint64_t i = 1; i <= 3; ++i) add(i, model::KeGroup::kModp2048);
  add(4);
  queue_.start();
  run(1, std::chrono::milliseconds(100));
  EXPECT_TRUE(results_.empty());
  free_threads();
  run(4);
  EXPECT_EQ(results_.size(), 4U);
}

TEST_F(KeyQueueTest, WhatComesLaterIsDoneToo) {
  for (std::uint64_t i = 1; i <= 60; ++i) {
    add(i);
    queue_.start();
    if (i % 7 == 0) run(i);
  }
  run(60);
  EXPECT_EQ(results_.size(), 60U);
}

TEST_F(KeyQueueTest, SaysWhyAPieceFailed) {
  auto job = pair_job(1, model::KeGroup::kX25519);
  job.peer_public = Bytes(32);  // leads to zero
  std::vector<ike::JobResult> results;
  KeyQueue queue(loop_, pool_, [&] {
    results = queue.take_results();
    loop_.stop();
  });
  queue.add(std::move(job));
  queue.start();
  run(1);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_NE(results[0].error.find("all-zero"), std::string::npos) << results[0].error;
}

}  // namespace
}  // namespace cygnet::daemon
