// SPDX-License-Identifier: Apache-2.0
#include "io/cpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace cygnet::io {
namespace {

TEST(Cpus, TheSchedulersAccount) {
  const auto account = parse_schedstat("3029457 812 55\n");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->ran.count(), 3029457);
  EXPECT_EQ(account->waited.count(), 812);
  EXPECT_EQ(account->stints, 55U);
  for (const auto* text : {"", "\n", "1 2", "1 2 x", "1 2 3x", "a b c"}) EXPECT_FALSE(parse_schedstat(text)) << text;
}

constexpr const char* kSoftirqs =
    "                    CPU0       CPU2       \n"
    "          HI:          0          0\n"
    "      NET_TX:      16132      17914\n"
    "      NET_RX:   48193952   61136110\n"
    "       BLOCK:          1          2\n";

TEST(Cpus, WherePacketsArrive) {
  const auto found = parse_arrivals(kSoftirqs);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].cpu, 0);
  EXPECT_EQ(found[0].count, 48193952U);
  EXPECT_EQ(found[1].cpu, 2);
  EXPECT_EQ(found[1].count, 61136110U);
}

TEST(Cpus, WhatIsNotSoIsNothing) {
  EXPECT_TRUE(parse_arrivals("").empty());
  EXPECT_TRUE(parse_arrivals("   CPU0 CPU1\n  NET_TX: 1 2\n").empty());
  EXPECT_TRUE(parse_arrivals("   CPU0 CPU1\n  NET_RX: 1\n").empty());
  EXPECT_TRUE(parse_arrivals("   CPU0 CPUx\n  NET_RX: 1 2\n").empty());
  EXPECT_TRUE(parse_arrivals("   CPU0 nothing\n  NET_RX: 1 2\n").empty());
}

TEST(Cpus, ThisKernelTells) {
  auto reader = CpuReader::open();
  ASSERT_TRUE(reader);
  const auto before = reader->account();
  ASSERT_TRUE(before);
  for (int i = 0; i < 20; ++i) ::usleep(1000);
  const auto after = reader->account();
  ASSERT_TRUE(after);
  EXPECT_GE(after->stints, before->stints + 10);
  EXPECT_GT(after->ran, before->ran);
  const auto arrivals = reader->arrivals();
  EXPECT_GE(arrivals.size(), std::thread::hardware_concurrency());
}

TEST(Cpus, AThreadPlacesItself) {
  std::thread([] {
    const auto allowed = allowed_cpus();
    ASSERT_TRUE(allowed);
    std::uint16_t last = 0;
    for (std::uint16_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &*allowed)) last = cpu;
    }
    const auto one = only_cpu(last);
    ASSERT_TRUE(allow_cpus(one));
    const auto now = allowed_cpus();
    ASSERT_TRUE(now);
    EXPECT_TRUE(CPU_EQUAL(&*now, &one));
    EXPECT_EQ(::sched_getcpu(), last);
    ASSERT_TRUE(allow_cpus(*allowed));
    // There is no such CPU; it stays as it was.
    EXPECT_FALSE(allow_cpus(only_cpu(CPU_SETSIZE - 1)));
    EXPECT_FALSE(allow_cpus(only_cpu(CPU_SETSIZE)));
  }).join();
}

}  // namespace
}  // namespace cygnet::io
