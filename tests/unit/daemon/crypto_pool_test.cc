// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/crypto_pool.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>

#include "daemon/engine_role/cpu_share.h"
#include "io/clock.h"
#include "io/cpu_time.h"

namespace cygnet::daemon {
namespace {

using namespace std::chrono_literals;

TEST(CpuShare, RestsForWhatWasTooMuch) {
  CpuShare share(25);
  const Instant start{1h};
  EXPECT_EQ(share.rest_after(start, 0ns), 0ns);
  // 10 ms of work in 10 ms, of which 2.5 were allowed.
  EXPECT_EQ(share.rest_after(start + 10ms, 10ms), 30ms);
  EXPECT_EQ(share.rest_after(start + 40ms, 10ms), 0ns);
  // After a second of nothing to do it has saved two milliseconds, not a quarter of a second.
  EXPECT_EQ(share.rest_after(start + 1040ms, 10ms), 0ns);
  EXPECT_EQ(share.rest_after(start + 1040ms, 12ms), 0ns);
  EXPECT_EQ(share.rest_after(start + 1040ms, 13ms), 4ms);
}

// Seals whatever it is given, and takes its time.
class SlowCipher final : public crypto::EspCipher {
 public:
  explicit SlowCipher(Duration each) : each_(each) {}
  [[nodiscard]] std::size_t iv_octets() const override { return 8; }
  [[nodiscard]] std::size_t icv_octets() const override { return 16; }
  [[nodiscard]] std::size_t block_octets() const override { return 4; }
  [[nodiscard]] bool shareable() const override { return true; }
  void seal(std::span<crypto::EspJob> jobs) override {
    const auto until = io::cpu_time_of(::pthread_self()) + each_;
    while (io::cpu_time_of(::pthread_self()) < until) {
    }
    for (auto& job : jobs) job.ok = true;
  }
  void open(std::span<crypto::EspJob> jobs) override { seal(jobs); }

 private:
  Duration each_;
};

class CryptoPoolTest : public ::testing::Test {
 protected:
  // So many batches of one job each, through the pool.
  void work(CryptoPool& pool, crypto::EspCipher& cipher, std::size_t count) {
    jobs_.assign(count, {});
    tasks_.assign(count, {});
    batches_.assign(count, {});
    for (std::size_t i = 0; i < count; ++i) {
      tasks_[i] = {&cipher, {&jobs_[i], 1}, nullptr, 0};
      batches_[i] = {.tasks = {&tasks_[i], 1}, .tag = i, .seal = true};
      ASSERT_TRUE(pool.submit(batches_[i]));
    }
    std::vector<bool> seen(count);
    for (std::size_t back = 0; back < count;) {
      std::array<crypto::CipherBatch*, 4> done{};
      pool.wait(100ms);
      const auto n = pool.completed(done);
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_FALSE(seen[done[i]->tag]);
        seen[done[i]->tag] = true;
      }
      back += n;
    }
    for (const auto& job : jobs_) EXPECT_TRUE(job.ok);
  }
  std::vector<crypto::EspJob> jobs_;
  std::vector<crypto::CipherTask> tasks_;
  std::vector<crypto::CipherBatch> batches_;
};

TEST_F(CryptoPoolTest, EachBatchComesBackOnce) {
  auto pool = CryptoPool::make({.threads = 3}).value();
  EXPECT_TRUE(pool->start().empty());
  SlowCipher cipher(0ns);
  for (int i = 0; i < 20; ++i) work(*pool, cipher, 50);
  EXPECT_EQ(pool->threads().size(), 3U);
}

TEST_F(CryptoPoolTest, ThreadsKeepToTheirShare) {
  auto pool = CryptoPool::make({.threads = 1, .percent = 20}).value();
  EXPECT_TRUE(pool->start().empty());
  SlowCipher cipher(1ms);
  const auto start = io::SystemClock::now();
  work(*pool, cipher, 20);
  // 20 ms of work, of which the saved two and the rest after the last one do not count.
  EXPECT_GE(io::SystemClock::now() - start, 75ms);
  const auto used = io::cpu_time_of(pool->threads()[0]);
  EXPECT_GE(used, 20ms);
  EXPECT_LT(used, 40ms);
}

TEST_F(CryptoPoolTest, WakesWhoeverSleeps) {
  auto pool = CryptoPool::make({.threads = 1}).value();
  EXPECT_TRUE(pool->start().empty());
  SlowCipher cipher(20ms);
  const auto readable = [&](int timeout_ms) {
    pollfd p{.fd = pool->waker_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&p, 1, timeout_ms) == 1;
  };
  crypto::EspJob job;
  crypto::CipherTask task{&cipher, {&job, 1}, nullptr, 0};
  crypto::CipherBatch batch{.tasks = {&task, 1}, .seal = true};
  ASSERT_TRUE(pool->submit(batch));
  ASSERT_TRUE(pool->will_sleep());
  EXPECT_TRUE(readable(5000));
  pool->is_awake();
  pool->has_woken();
  EXPECT_FALSE(readable(0));
  // It has not been fetched yet: nobody should sleep over it.
  EXPECT_FALSE(pool->will_sleep());
  pool->is_awake();
}

// A batch is for a thread that waits for one, not for one that rests.
TEST_F(CryptoPoolTest, RestingThreadsTakeNoWakeUp) {
  auto pool = CryptoPool::make({.threads = 2, .percent = 1}).value();
  EXPECT_TRUE(pool->start().empty());
  SlowCipher slow(10ms);
  work(*pool, slow, 1);  // its thread rests for most of a second now
  SlowCipher quick(0ns);
  const auto start = io::SystemClock::now();
  work(*pool, quick, 1);
  EXPECT_LT(io::SystemClock::now() - start, 500ms);
}

TEST_F(CryptoPoolTest, RunsWhereItIsTold) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  std::uint16_t first = 0;
  while (!CPU_ISSET(first, &allowed)) ++first;
  auto pool = CryptoPool::make({.threads = 2, .cpus = {first, 1023}}).value();
  EXPECT_EQ(pool->start(), std::vector<std::uint16_t>{1023});
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(::pthread_getaffinity_np(pool->threads()[0], sizeof set, &set), 0);
  EXPECT_EQ(CPU_COUNT(&set), 1);
  EXPECT_TRUE(CPU_ISSET(first, &set));
}

}  // namespace
}  // namespace cygnet::daemon
