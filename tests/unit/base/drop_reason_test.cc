// SPDX-License-Identifier: Apache-2.0
#include "base/drop_reason.h"

#include <gtest/gtest.h>

#include <set>

namespace cygnet {
namespace {

TEST(DropReason, EveryReasonHasItsOwnNameAndTellsWhyAndWhatToDo) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    const auto& row = info(static_cast<DropReason>(i));
    EXPECT_FALSE(row.name.empty()) << i;
    EXPECT_TRUE(names.insert(row.name).second) << "twice: " << row.name;
    EXPECT_TRUE(row.why.ends_with('.')) << row.name;
    EXPECT_TRUE(row.remedy.ends_with('.')) << row.name;
  }
}

TEST(DropReason, TableStandsInTheOrderOfTheEnum) {
  EXPECT_EQ(info(DropReason::kTruncated).name, "truncated");
  EXPECT_EQ(info(DropReason::kReplaySeen).name, "replay-seen");
  EXPECT_EQ(info(DropReason::kSelectorMismatch).name, "selector-mismatch");
  EXPECT_EQ(info(DropReason::kTooBig).name, "too-big");
  EXPECT_EQ(info(DropReason::kControlQueueFull).name, "control-queue-full");
  EXPECT_EQ(info(DropReason::kCount).name, "unknown");
}

}  // namespace
}  // namespace cygnet
