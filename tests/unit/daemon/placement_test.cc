// SPDX-License-Identifier: Apache-2.0

// Where the thread that moves packets keeps to: driven by a kernel that is told here what it would say.
#include "daemon/engine_role/placement.h"

#include <gtest/gtest.h>

namespace cygnet::daemon {
namespace {

using namespace std::chrono_literals;
using Step = Placement::Step;

class Thread {
 public:
  explicit Thread(std::vector<CpuArrivals> cpus = {{0, true, 1000}, {1, true, 500}}) : cpus_(std::move(cpus)) {}

  // For so long a burst every `each`, which takes `ran` and waits for `waited`; packets come in where `on` says. Where
  // the thread may run after that is cpu().
  void live(Duration how_long, Duration each, Duration ran, Duration waited, std::vector<std::size_t> on) {
    for (const auto until = now_ + how_long; now_ < until; now_ += each) {
      spent_.ran += ran;
      spent_.waited += waited;
      ++spent_.stints;
      ++bursts_;
      for (const auto i : on) ++cpus_[i].count;
      if (!placement_.is_due(now_)) continue;
      ++looks_;
      switch (placement_.look(now_, spent_, bursts_)) {
        case Step::kStay: break;
        case Step::kRelease: ++releases_; break;
        case Step::kCount:
          if (placement_.arrived(now_, cpus_)) ++moves_;
          break;
      }
    }
  }
  void idle(Duration how_long, std::vector<std::size_t> on, Duration waited = 2us) {
    live(how_long, 10ms, 20us, waited, std::move(on));
  }
  void work(Duration how_long, std::vector<std::size_t> on) { live(how_long, 50us, 45us, 1us, std::move(on)); }

  [[nodiscard]] std::optional<std::uint16_t> cpu() const { return placement_.cpu(); }
  Placement& placement() { return placement_; }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] int moves() const { return moves_; }
  [[nodiscard]] int releases() const { return releases_; }
  [[nodiscard]] int looks() const { return looks_; }
  std::vector<CpuArrivals>& cpus() { return cpus_; }

 private:
  Placement placement_;
  std::vector<CpuArrivals> cpus_;
  Instant now_{Instant(1h)};
  CpuSpent spent_;
  std::uint64_t bursts_ = 0;
  int moves_ = 0, releases_ = 0, looks_ = 0;
};

TEST(Placement, AnIdleThreadGoesWherePacketsArrive) {
  Thread thread;
  thread.idle(200ms, {1});
  EXPECT_EQ(thread.cpu(), std::nullopt) << "not so soon";
  thread.idle(400ms, {1});
  EXPECT_EQ(thread.cpu(), 1);
  // And stays.
  thread.idle(60s, {1});
  EXPECT_EQ(thread.cpu(), 1);
  EXPECT_EQ(thread.moves(), 1);
  EXPECT_EQ(thread.releases(), 0);
}

// The counts of what came before it asked say nothing.
TEST(Placement, OnlyWhatComesNowCounts) {
  Thread thread({{0, true, 1}, {1, true, 1'000'000}});
  thread.idle(1s, {0});
  EXPECT_EQ(thread.cpu(), 0);
}

TEST(Placement, WithWorkToDoItMayRunAnywhere) {
  Thread thread;
  thread.work(10s, {1});
  EXPECT_EQ(thread.moves(), 0);
  thread.idle(1s, {1});
  ASSERT_EQ(thread.cpu(), 1);
  thread.work(25ms, {1});
  EXPECT_EQ(thread.cpu(), std::nullopt) << "within two looks";
  EXPECT_EQ(thread.releases(), 1);
}

// Work that comes and goes: few changes a second, whatever its rhythm.
TEST(Placement, ItDoesNotFlutter) {
  for (const auto rhythm : {20ms, 100ms, 240ms, 400ms}) {
    Thread thread;
    for (int i = 0; i < 100; ++i) {
      thread.work(rhythm, {1});
      thread.idle(rhythm, {1});
    }
    const auto seconds = rhythm * 200 / 1s;
    EXPECT_LE(thread.moves() + thread.releases(), 4 * (seconds + 1)) << rhythm / 1ms;
  }
}

// Between the two marks it remains as it is.
TEST(Placement, MiddlingWorkChangesNothing) {
  Thread free;
  free.live(10s, 1ms, 450us, 1us, {1});
  EXPECT_EQ(free.moves(), 0);
  Thread placed;
  placed.idle(1s, {1});
  placed.live(10s, 1ms, 450us, 1us, {1});
  EXPECT_EQ(placed.cpu(), 1);
}

// Little comes of what it does because it gets no CPU for more.
TEST(Placement, AThreadThatStarvesIsNotIdle) {
  Thread thread;
  thread.live(10s, 10ms, 200us, 6ms, {1});
  EXPECT_EQ(thread.moves(), 0);
  thread.idle(1s, {1});
  ASSERT_EQ(thread.cpu(), 1);
  thread.live(100ms, 10ms, 200us, 6ms, {1});
  EXPECT_EQ(thread.cpu(), std::nullopt);
}

TEST(Placement, WhereOthersRunItDoesNotWait) {
  Thread thread;
  thread.idle(1s, {1}, 40us);
  ASSERT_EQ(thread.cpu(), 1);
  thread.idle(1min, {1}, 40us);
  ASSERT_EQ(thread.cpu(), 1) << "everybody waits as long";
  thread.idle(1s, {1}, 1ms);
  EXPECT_EQ(thread.cpu(), std::nullopt);
  // It tries again, each time after a longer pause.
  thread.idle(1min, {1}, 1ms);
  EXPECT_GE(thread.moves(), 3);
  EXPECT_LE(thread.moves(), 6);
  const int before = thread.moves();
  thread.idle(10min, {1}, 1ms);
  EXPECT_LE(thread.moves() - before, 11);
  // And stays once there is nobody any more.
  thread.idle(2min, {1});
  EXPECT_EQ(thread.cpu(), 1);
}

// Then it was its own load that it waited for.
TEST(Placement, AfterWorkItGoesBackAtOnce) {
  Thread thread;
  for (int i = 0; i < 8; ++i) {
    thread.idle(1s, {1});
    ASSERT_EQ(thread.cpu(), 1) << i;
    thread.live(1s, 1ms, 400us, 200us, {1});
    ASSERT_EQ(thread.cpu(), std::nullopt) << i;
  }
}

TEST(Placement, ItMovesOnWhenPacketsArriveElsewhere) {
  Thread thread;
  thread.idle(1s, {1});
  ASSERT_EQ(thread.cpu(), 1);
  thread.idle(5s, {1, 0});
  EXPECT_EQ(thread.cpu(), 1) << "as many elsewhere is no reason";
  thread.idle(10s, {0});
  EXPECT_EQ(thread.cpu(), 0);
}

// Two engines of one machine that wake each other, each on the other's CPU: both go to the lower one.
TEST(Placement, TwoThatWakeEachOtherMeet) {
  Thread here, there;
  std::vector<std::size_t> both{0, 1};
  here.idle(1s, both);
  there.idle(1s, both);
  EXPECT_EQ(here.cpu(), 0);
  EXPECT_EQ(there.cpu(), 0);
}

TEST(Placement, WherePacketsArriveItMayNotRun) {
  Thread thread({{0, true, 1}, {1, false, 1}, {2, true, 1}});
  thread.idle(10s, {1});
  EXPECT_EQ(thread.cpu(), std::nullopt);
  EXPECT_EQ(thread.moves(), 0);
  thread.idle(10s, {2});
  EXPECT_EQ(thread.cpu(), 2);
}

TEST(Placement, NothingArrivesAnywhere) {
  Thread thread;
  thread.idle(10s, {});
  EXPECT_EQ(thread.cpu(), std::nullopt);
}

// A CPU comes or goes: what was counted before fits no more.
TEST(Placement, OtherCpusThanBefore) {
  Thread thread;
  thread.idle(300ms, {1});
  thread.cpus().insert(thread.cpus().begin(), {7, true, 5'000'000});
  thread.idle(90ms, {2});
  EXPECT_EQ(thread.cpu(), std::nullopt);
  thread.idle(300ms, {2});
  EXPECT_EQ(thread.cpu(), 1);
}

TEST(Placement, RefusedItTriesAgainMuchLater) {
  Thread thread;
  thread.idle(1s, {1});
  ASSERT_EQ(thread.cpu(), 1);
  thread.placement().refused(thread.now());
  EXPECT_EQ(thread.cpu(), std::nullopt);
  thread.idle(60s, {1});
  EXPECT_EQ(thread.moves(), 1);
  thread.idle(10s, {1});
  EXPECT_EQ(thread.moves(), 2);
}

// However many turns there are.
TEST(Placement, AHundredLooksASecondAtMost) {
  Thread thread;
  thread.live(1s, 10us, 5us, 1us, {1});
  EXPECT_LE(thread.looks(), 101);
  EXPECT_GE(thread.looks(), 90);
}

TEST(Placement, TenLooksASecondWithLittleToDo) {
  Thread thread;
  thread.live(10s, 4ms, 5us, 1us, {1});
  EXPECT_LE(thread.looks(), 101);
  EXPECT_GE(thread.looks(), 90);
}

}  // namespace
}  // namespace cygnet::daemon
