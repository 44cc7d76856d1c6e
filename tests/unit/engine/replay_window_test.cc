// SPDX-License-Identifier: Apache-2.0
#include "engine/replay_window.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace cygnet::engine {
namespace {

using Verdict = ReplayWindow::Verdict;

TEST(ReplayWindow, TakesEachNumberOnceInAnyOrder) {
  ReplayWindow w(64, false);
  for (const std::uint64_t s : {5U, 3U, 4U, 1U, 2U}) EXPECT_EQ(w.commit(s), Verdict::kFresh) << s;
  for (const std::uint64_t s : {1U, 2U, 3U, 4U, 5U}) EXPECT_EQ(w.commit(s), Verdict::kSeen) << s;
  EXPECT_EQ(w.top(), 5U);
}

TEST(ReplayWindow, RefusesZero) {
  ReplayWindow w(64, false);
  EXPECT_EQ(w.check(0), Verdict::kOld);
}

TEST(ReplayWindow, LeftEdgeIsExact) {
  for (const std::uint32_t size : {32U, 33U, 64U, 100U, 1024U, 65536U}) {
    ReplayWindow w(size, false);
    EXPECT_EQ(w.commit(200000), Verdict::kFresh);
    EXPECT_EQ(w.check(200000 - size), Verdict::kOld) << size;
    EXPECT_EQ(w.check(200000 - size + 1), Verdict::kFresh) << size;
  }
}

TEST(ReplayWindow, SizesAreBroughtIntoRange) {
  EXPECT_EQ(ReplayWindow(1, false).size(), 32U);
  EXPECT_EQ(ReplayWindow(1000000, false).size(), 65536U);
  EXPECT_EQ(ReplayWindow(0, false).size(), 0U);
}

// Against a set that remembers everything.
TEST(ReplayWindow, GoesOnBehindWhatAnotherSaw) {
  for (const std::uint64_t top : {1ULL, 62ULL, 63ULL, 64ULL, 1000ULL, (1ULL << 32U) + 5}) {
    ReplayWindow window(64, true);
    window.resume(top);
    EXPECT_EQ(window.top(), top);
    for (std::uint64_t back = 0; back < 100 && back < top; ++back) {
      EXPECT_NE(window.check(top - back), ReplayWindow::Verdict::kFresh) << top << " - " << back;
    }
    // The one left out stays fresh, those behind it are taken once.
    for (std::uint64_t next = top + 2; next < top + 60; ++next) {
      EXPECT_EQ(window.commit(next), ReplayWindow::Verdict::kFresh) << next;
      EXPECT_EQ(window.check(next), ReplayWindow::Verdict::kSeen) << next;
    }
    EXPECT_EQ(window.commit(top + 1), ReplayWindow::Verdict::kFresh);
  }
}

TEST(ReplayWindow, AgreesWithAMemoryOfEverything) {
  for (const std::uint32_t size : {32U, 65U, 128U, 1000U}) {
    ReplayWindow w(size, true);
    std::set<std::uint64_t> seen;
    std::uint64_t top = 0;
    SeededRandom random(size);
    for (int i = 0; i < 20000; ++i) {
      const std::uint64_t around = top + 1 + random.below(8);
      const std::uint64_t s = random.below(50) == 0
                                  ? top + 1 + random.below(5ULL * size)
                                  : around - std::min<std::uint64_t>(around - 1, random.below(size + 16ULL));
      auto expected = Verdict::kFresh;
      if (s <= top && top - s >= size) {
        expected = Verdict::kOld;
      } else if (seen.contains(s)) {
        expected = Verdict::kSeen;
      }
      ASSERT_EQ(w.check(s), expected) << "size " << size << " number " << s << " top " << top;
      ASSERT_EQ(w.commit(s), expected);
      if (expected == Verdict::kFresh) {
        seen.insert(s);
        top = std::max(top, s);
      }
    }
  }
}

// RFC 4303 appendix A2.1, both cases and their edges.
TEST(EsnInference, CaseA) {
  ReplayWindow w(64, true);
  EXPECT_EQ(w.commit((5ULL << 32) + 1000), Verdict::kFresh);
  EXPECT_EQ(w.infer(1000), (5ULL << 32) + 1000);
  EXPECT_EQ(w.infer(1000 - 63), (5ULL << 32) + 1000 - 63);
  EXPECT_EQ(w.infer(1000 - 64), (6ULL << 32) + 1000 - 64);
  EXPECT_EQ(w.infer(0xffffffffU), (5ULL << 32) + 0xffffffffU);
}

TEST(EsnInference, CaseB) {
  ReplayWindow w(64, true);
  EXPECT_EQ(w.commit((5ULL << 32) + 10), Verdict::kFresh);
  EXPECT_EQ(w.infer(10), (5ULL << 32) + 10);
  EXPECT_EQ(w.infer(0), 5ULL << 32);
  EXPECT_EQ(w.infer(0xffffffffU), (4ULL << 32) + 0xffffffffU);
  EXPECT_EQ(w.infer(10U - 63U), (4ULL << 32) + static_cast<std::uint32_t>(10U - 63U));
  EXPECT_EQ(w.infer(10U - 64U), (5ULL << 32) + static_cast<std::uint32_t>(10U - 64U));
}

TEST(EsnInference, NothingLiesBelowTheFirstSubspace) {
  ReplayWindow w(64, true);
  EXPECT_EQ(w.infer(1), 1U);
  EXPECT_EQ(w.infer(0xfffffff0U), 0U);
  EXPECT_EQ(w.check(w.infer(0xfffffff0U)), Verdict::kOld);
}

TEST(EsnInference, CrossesTheBoundary) {
  ReplayWindow w(1024, true);
  EXPECT_EQ(w.commit(0xfffff000ULL), Verdict::kFresh);
  for (std::uint64_t s = 0xfffffff0ULL; s < 0x100000010ULL; ++s) {
    ASSERT_EQ(w.infer(static_cast<std::uint32_t>(s)), s);
    ASSERT_EQ(w.commit(s), Verdict::kFresh);
  }
}

TEST(EsnInference, WithoutEsnTheLowHalfIsTheNumber) {
  ReplayWindow w(64, false);
  EXPECT_EQ(w.infer(0xfffffff0U), 0xfffffff0U);
}

}  // namespace
}  // namespace cygnet::engine
