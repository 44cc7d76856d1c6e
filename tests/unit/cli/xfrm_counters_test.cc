// SPDX-License-Identifier: Apache-2.0
#include "cli/xfrm_counters.h"

#include <gtest/gtest.h>

#include <set>

namespace cygnet::cli {
namespace {

// As the kernel writes it (Linux 6.18).
constexpr std::string_view kStat =
    "XfrmInError             \t0\nXfrmInBufferError       \t0\nXfrmInHdrError          \t0\n"
    "XfrmInNoStates          \t7\nXfrmInTmplMismatch      \t2\nXfrmOutPolBlock         \t18446744073709551615\n";

TEST(XfrmCounters, OnlyThoseThatCountedAndInWords) {
  const auto found = xfrm_counters_in(kStat);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].name, "XfrmInNoStates");
  EXPECT_EQ(found[0].count, 7U);
  EXPECT_EQ(found[0].why, "ESP or AH came for an SPI that no SA here has");
  EXPECT_EQ(found[1].count, 2U);
  EXPECT_EQ(found[2].count, 18446744073709551615U);
  for (const auto& counter : found) EXPECT_FALSE(counter.remedy.empty());
}

TEST(XfrmCounters, EachCounterOfTheKernelHasWordsOfItsOwn) {
  std::set<std::string> words;
  std::size_t count = 0;
  for (const auto* name : {"XfrmInError",
                           "XfrmInBufferError",
                           "XfrmInHdrError",
                           "XfrmInNoStates",
                           "XfrmInStateProtoError",
                           "XfrmInStateModeError",
                           "XfrmInStateSeqError",
                           "XfrmInStateExpired",
                           "XfrmInStateMismatch",
                           "XfrmInStateInvalid",
                           "XfrmInTmplMismatch",
                           "XfrmInNoPols",
                           "XfrmInPolBlock",
                           "XfrmInPolError",
                           "XfrmOutError",
                           "XfrmOutBundleGenError",
                           "XfrmOutBundleCheckError",
                           "XfrmOutNoStates",
                           "XfrmOutStateProtoError",
                           "XfrmOutStateModeError",
                           "XfrmOutStateSeqError",
                           "XfrmOutStateExpired",
                           "XfrmOutPolBlock",
                           "XfrmOutPolDead",
                           "XfrmOutPolError",
                           "XfrmFwdHdrError",
                           "XfrmOutStateInvalid",
                           "XfrmAcquireError",
                           "XfrmOutStateDirError",
                           "XfrmInStateDirError",
                           "XfrmInIptfsError",
                           "XfrmOutNoQueueSpace"}) {
    const auto found = xfrm_counters_in(std::string(name) + " 1\n");
    ASSERT_EQ(found.size(), 1U) << name;
    EXPECT_EQ(found[0].why.find("newer than this program"), std::string::npos) << name;
    words.insert(found[0].why);
    ++count;
  }
  EXPECT_EQ(words.size(), count);
}

TEST(XfrmCounters, WhatIsNotUnderstoodIsLeftOut) {
  EXPECT_TRUE(xfrm_counters_in("").empty());
  EXPECT_TRUE(xfrm_counters_in("XfrmInError\nXfrmInError x\nXfrmInError -1\n\n 5\nXfrmInError 5x").empty());
  const auto newer = xfrm_counters_in("XfrmOutMood 3");
  ASSERT_EQ(newer.size(), 1U);
  EXPECT_NE(newer[0].why.find("newer than this program"), std::string::npos);
}

TEST(PfkeyBacklog, TheSlowestReaderIsFound) {
  EXPECT_EQ(pfkey_backlog_in(""), std::nullopt);
  constexpr std::string_view kHead = "sk       RefCnt Rmem   Wmem   User   Inode\n";
  EXPECT_EQ(pfkey_backlog_in(kHead), 0U);
  EXPECT_EQ(pfkey_backlog_in(std::string(kHead) + "00000000f1a2 2      0      0      0      4711  \n"
                                                  "00000000f1a3 2      81920  0      0      4712  \n"
                                                  "00000000f1a4 2      768    0      0      4713  \n"),
            81920U);
  EXPECT_EQ(pfkey_backlog_in(std::string(kHead) + "x 1\n\nx 1 7q 0\nx 1 99999999999999999999 0\n"), 0U);
}

}  // namespace
}  // namespace cygnet::cli
