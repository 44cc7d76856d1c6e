// SPDX-License-Identifier: Apache-2.0
#include "io/poller.h"

#include <gtest/gtest.h>

#include "io/clock.h"

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

}  // namespace
}  // namespace cygnet::io
