// SPDX-License-Identifier: Apache-2.0
#include "policy/on_demand.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace cygnet::policy {
namespace {

const auto kRemote = *IpAddress::parse("10.2.0.5");

TEST(OnDemand, OneAttemptAtATime) {
  OnDemand demand;
  const Instant now{std::chrono::seconds(100)};
  EXPECT_EQ(demand.on_acquire(now, "c", "x", kRemote), OnDemand::Answer::kTry);
  EXPECT_EQ(demand.on_acquire(now, "c", "x", kRemote), OnDemand::Answer::kUnderWay);
  EXPECT_EQ(demand.on_acquire(now, "c", "y", kRemote), OnDemand::Answer::kTry);
  demand.on_done(now, "c", "x", true, false);
  EXPECT_EQ(demand.on_acquire(now, "c", "x", kRemote), OnDemand::Answer::kTry);
}

TEST(OnDemand, FailuresAreRepeatedLessAndLessOften) {
  OnDemand demand;
  Instant now{std::chrono::seconds(100)};
  Duration pause = OnDemand::kFirstPause;
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(demand.on_acquire(now, "c", "x", kRemote), OnDemand::Answer::kTry);
    demand.on_done(now, "c", "x", false, false);
    EXPECT_EQ(demand.on_acquire(now + pause - Duration(1), "c", "x", kRemote), OnDemand::Answer::kTooSoon);
    now += pause;
    pause = std::min(pause * 2, OnDemand::kLongestPause);
  }
  EXPECT_EQ(pause, OnDemand::kLongestPause);
}

TEST(OnDemand, WhoeverRetriesByItselfIsNotAskedAgain) {
  OnDemand demand;
  const Instant now{std::chrono::seconds(100)};
  EXPECT_EQ(demand.on_acquire(now, "c", "x", kRemote), OnDemand::Answer::kTry);
  demand.on_done(now, "c", "", false, true);
  EXPECT_EQ(demand.on_acquire(now + std::chrono::hours(1), "c", "x", kRemote), OnDemand::Answer::kUnderWay);
}

// What one packet cannot have keeps no other waiting, and is itself asked for less and less often.
TEST(OnDemand, ARefusedPartHasPausesOfItsOwn) {
  OnDemand demand;
  Instant now{std::chrono::seconds(100)};
  const auto refused = *IpAddress::parse("10.3.0.5");
  const auto neighbour = *IpAddress::parse("10.3.0.77");
  auto pause = OnDemand::kFirstPause;
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(demand.on_acquire(now, "c", "x", i % 2 == 0 ? refused : neighbour), OnDemand::Answer::kTry);
    EXPECT_EQ(demand.on_part_refused(now, "c", "x", refused), i == 0) << "it is new once";
    EXPECT_EQ(demand.on_acquire(now + pause - Duration(1), "c", "x", neighbour), OnDemand::Answer::kTooSoon);
    // The others wait for a second, however long that one has to.
    EXPECT_EQ(demand.on_acquire(now + OnDemand::kFirstPause - Duration(1), "c", "x", kRemote),
              OnDemand::Answer::kTooSoon);
    if (pause > OnDemand::kFirstPause) {
      EXPECT_EQ(demand.on_acquire(now + OnDemand::kFirstPause, "c", "x", kRemote), OnDemand::Answer::kTry);
      demand.on_done(now + OnDemand::kFirstPause, "c", "x", true, false);
    }
    now += pause;
    pause = std::min(pause * 2, OnDemand::kLongestPause);
  }
  EXPECT_EQ(pause, OnDemand::kLongestPause);
}

// Whoever scans a wide network makes no list without bound; the newest are remembered.
TEST(OnDemand, RefusedPartsAreBounded) {
  OnDemand demand;
  Instant now{std::chrono::seconds(100)};
  const auto part = [](int i) { return *IpAddress::parse("10." + std::to_string(i) + ".0.1"); };
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(demand.on_acquire(now, "c", "x", part(i)), OnDemand::Answer::kTry);
    EXPECT_TRUE(demand.on_part_refused(now, "c", "x", part(i)));
    now += OnDemand::kFirstPause;
  }
  EXPECT_FALSE(demand.on_part_refused(now, "c", "x", part(199)));
  EXPECT_TRUE(demand.on_part_refused(now, "c", "x", part(0))) << "it made room";
}

}  // namespace
}  // namespace cygnet::policy
