// SPDX-License-Identifier: Apache-2.0
#include "base/slab.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace cygnet {
namespace {

TEST(Slab, ObjectsStandApartOnCacheLines) {
  Slab slab(100);
  std::set<std::uintptr_t> places;
  for (int i = 0; i < 100'000; ++i) {
    auto* object = slab.allocate();
    std::memset(object, 0x5a, 100);
    const auto at = reinterpret_cast<std::uintptr_t>(object);
    EXPECT_EQ(at % 64, 0U);
    const auto next = places.lower_bound(at);
    if (next != places.end()) {
      ASSERT_GE(*next - at, 128U);
    }
    if (next != places.begin()) {
      ASSERT_GE(at - *std::prev(next), 128U);
    }
    places.insert(at);
  }
}

TEST(Slab, WhatIsGivenBackIsUsedAgain) {
  Slab slab(64);
  auto* first = slab.allocate();
  auto* second = slab.allocate();
  slab.release(first);
  slab.release(second);
  EXPECT_EQ(slab.allocate(), second);
  EXPECT_EQ(slab.allocate(), first);
  slab.release(nullptr);
}

struct alignas(64) Big : InSlab<Big> {
  std::uint64_t value = 0;
  char rest[5'000'000]{};  // larger than any chunk
};

TEST(Slab, ServesAClassWhateverItsSize) {
  auto one = std::make_unique<Big>();
  auto two = std::make_unique<Big>();
  one->value = 1;
  two->rest[4'999'999] = 2;
  EXPECT_EQ(one->value, 1U);
  EXPECT_GE(static_cast<std::size_t>(std::abs(reinterpret_cast<char*>(one.get()) - reinterpret_cast<char*>(two.get()))),
            sizeof(Big));
}

TEST(Slab, SeveralThreadsNeverShareAnObject) {
  Slab slab(64);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&slab, t] {
      std::vector<int*> mine;
      for (int i = 0; i < 2000; ++i) {
        mine.push_back(static_cast<int*>(slab.allocate()));
        *mine.back() = t;
        if (i % 3 == 0) {
          slab.release(mine.back());
          mine.pop_back();
        }
      }
      for (const auto* object : mine) ASSERT_EQ(*object, t);
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace cygnet
