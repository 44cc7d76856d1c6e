// SPDX-License-Identifier: Apache-2.0
// What the kernel refuses: when it is tried again, and what is told of it.
#include "daemon/monitor/unmet.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cygnet::daemon {
namespace {

using namespace std::chrono_literals;

struct Log final : Logger {
  void write(const LogEntry& entry) override { text += entry.message + '\n'; }
  std::string text;
};

TEST(RepairTimes, OthersTouchItAndItIsLookedAtSoon) {
  RepairTimes times;
  const Instant begin{1000s};
  EXPECT_EQ(times.due(), kNever);
  times.on_touched();
  EXPECT_LE(times.due(), begin);
  times.on_repaired(begin, true);
  EXPECT_EQ(times.due(), kNever);
  times.on_touched();
  EXPECT_EQ(times.due(), begin + RepairTimes::kFirstBetween);
}

TEST(RepairTimes, WhoeverDoesNotStopIsAnsweredAfterPausesThatGrow) {
  RepairTimes times;
  Instant now{1000s};
  const auto pause_after = [&](Duration took) {
    times.on_touched();
    now = std::max(now, times.due()) + took;
    times.on_repaired(now, true, took);
    times.on_touched();
    return times.due() - now;
  };
  std::vector<Duration> pauses;
  for (int i = 0; i < 12; ++i) pauses.push_back(pause_after({}));
  EXPECT_EQ(pauses, (std::vector<Duration>{1ms, 2ms, 4ms, 8ms, 16ms, 32ms, 64ms, 128ms, 256ms, 512ms, 800ms, 800ms}));
  // Anew after a second of quiet; and a long table is not looked at without a pause.
  now += 1001ms;
  EXPECT_EQ(pause_after({}), 1ms);
  EXPECT_EQ(pause_after(300ms), 300ms);
}

TEST(RepairTimes, WhatIsMissingIsTriedAgainWithGrowingPauses) {
  RepairTimes times;
  Instant now{1000s};
  times.on_unmet(now);
  times.on_unmet(now + 500ms);
  std::vector<Duration> pauses;
  for (int i = 0; i < 9; ++i) {
    const auto due = times.due();
    ASSERT_NE(due, kNever);
    pauses.push_back(due - now);
    now = due;
    times.on_repaired(now, false);
  }
  EXPECT_EQ(pauses, (std::vector<Duration>{1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}));
  // Whoever touches it meanwhile need not wait for that.
  times.on_touched();
  EXPECT_EQ(times.due(), now + RepairTimes::kFirstBetween);
  times.on_repaired(now + 1s, true);
  EXPECT_EQ(times.due(), kNever);
  // The next time it begins anew.
  times.on_unmet(now);
  EXPECT_EQ(times.due(), now + RepairTimes::kFirstPause);
}

TEST(Unmet, IsToldOnceAndAgainWhenItIsThere) {
  Log log;
  Unmet unmet(log);
  unmet.add("the route 10.0.0.0/8", "no room");
  unmet.add("the route 10.0.0.0/8", "no room");
  EXPECT_EQ(log.text, "no room; it is tried again until it is there\n");
  unmet.begin_attempt();
  EXPECT_TRUE(unmet.was("the route 10.0.0.0/8"));
  unmet.add("the route 10.0.0.0/8", "no room");
  unmet.end_attempt();
  EXPECT_FALSE(unmet.empty());
  EXPECT_EQ(std::ranges::count(log.text, '\n'), 1);
  unmet.begin_attempt();
  unmet.end_attempt();
  EXPECT_TRUE(unmet.empty());
  EXPECT_TRUE(log.text.ends_with("the route 10.0.0.0/8 is there now\n"));
}

TEST(Unmet, RemembersSoManyNames) {
  Log log;
  Unmet unmet(log);
  for (std::size_t i = 0; i < 10 * Unmet::kMostNamed; ++i) unmet.add(std::to_string(i), "no room");
  EXPECT_EQ(std::ranges::count(log.text, '\n'), Unmet::kMostNamed + 1);
  EXPECT_NE(log.text.find("more than 100 of our routes and addresses cannot be set"), std::string::npos);
  // Coming and going tells no more either.
  for (std::size_t i = 0; i < 1000; ++i) {
    unmet.forget("0");
    unmet.add("0", "no room");
  }
  EXPECT_EQ(std::ranges::count(log.text, '\n'), Unmet::kMostNamed + 1);
  for (std::size_t i = 0; i < Unmet::kMostNamed; ++i) unmet.forget(std::to_string(i));
  EXPECT_FALSE(unmet.empty()) << "those without a name";
  unmet.begin_attempt();
  unmet.end_attempt();
  EXPECT_TRUE(unmet.empty());
}

}  // namespace
}  // namespace cygnet::daemon
