// SPDX-License-Identifier: Apache-2.0
#include "io/poller.h"

#include <gtest/gtest.h>

#include <thread>

#include "io/clock.h"
#include "io/waker.h"

namespace cygnet::io {
namespace {

using namespace std::chrono_literals;

TEST(Poller, WhatIsOverIsNotWaitedFor) {
  auto poller = Poller::make();
  ASSERT_TRUE(poller);
  const auto before = SystemClock::now();
  for (const auto until : {Instant::min(), Instant{}, before - 1s, before}) EXPECT_TRUE(poller->wait(until).empty());
  EXPECT_LT(SystemClock::now() - before, 10s);
}

TEST(Poller, LooksBeforeItSleeps) {
  auto poller = Poller::make();
  const auto waker = Waker::make();
  ASSERT_TRUE(poller && waker);
  ASSERT_TRUE(poller->add(waker->fd(), 7));
  // Nothing comes: it looks, sleeps, and is back when it was told to be.
  const auto before = SystemClock::now();
  EXPECT_TRUE(poller->wait(before + 20ms, 2ms).empty());
  EXPECT_GE(SystemClock::now() - before, 20ms);
  waker->wake();
  auto ready = poller->wait(kNever, 10s);
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0].token, 7U);
  waker->clear();
  EXPECT_TRUE(poller->wait(Instant::min(), 1ms).empty());
  std::thread other([&] {
    std::this_thread::sleep_for(5ms);
    waker->wake();
  });
  EXPECT_EQ(poller->wait(kNever, 1ms).size(), 1U);
  other.join();
}

}  // namespace
}  // namespace cygnet::io
