// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <gtest/gtest.h>

#include "config/suggest.h"

namespace cygnet::config {
namespace {

TEST(Values, Durations) {
  EXPECT_EQ(parse_duration_s("90"), 90U);
  EXPECT_EQ(parse_duration_s("90s"), 90U);
  EXPECT_EQ(parse_duration_s("15m"), 900U);
  EXPECT_EQ(parse_duration_s("8h"), 28800U);
  EXPECT_EQ(parse_duration_s("1.5h"), 5400U);
  EXPECT_EQ(parse_duration_s("1d"), 86400U);
  EXPECT_EQ(parse_duration_s("0"), 0U);
  EXPECT_EQ(parse_duration_ms("500"), 500U);
  EXPECT_EQ(parse_duration_ms("500ms"), 500U);
  EXPECT_EQ(parse_duration_ms("2s"), 2000U);
  for (const auto* bad : {"", "h", "-1", "1x", "1 h", "1.", "1.h", "99999999999999999999", "99999999d"}) {
    EXPECT_EQ(parse_duration_s(bad), std::nullopt) << bad;
  }
}

TEST(Values, Bytes) {
  EXPECT_EQ(parse_bytes("1000"), 1000U);
  EXPECT_EQ(parse_bytes("64k"), 65536U);
  EXPECT_EQ(parse_bytes("2GiB"), 2147483648U);
  EXPECT_EQ(parse_bytes("1MB"), 1048576U);
  EXPECT_EQ(parse_bytes("18446744073709551615"), 18446744073709551615U);
  for (const auto* bad : {"", "k", "1x", "1kk", "18446744073709551615k", "-1", "1bb"})
    EXPECT_EQ(parse_bytes(bad), std::nullopt) << bad;
}

TEST(Values, NumbersPercentsAndBooleans) {
  EXPECT_EQ(parse_number("0x10", 100), 16U);
  EXPECT_EQ(parse_number("101", 100), std::nullopt);
  EXPECT_EQ(parse_number("1 ", 100), std::nullopt);
  EXPECT_EQ(parse_number("0x", 100), std::nullopt);
  EXPECT_EQ(parse_percent("100%"), 100U);
  EXPECT_EQ(parse_percent("%"), std::nullopt);
  EXPECT_EQ(parse_bool("YES"), true);
  EXPECT_EQ(parse_bool("off"), false);
  EXPECT_EQ(parse_bool("maybe"), std::nullopt);
}

TEST(Values, SplitKeepsOffsets) {
  const auto pieces = split("a , b,,c ", ",");
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[1].text, "b");
  EXPECT_EQ(pieces[1].offset, 4U);
  EXPECT_EQ(pieces[2].text, "c");
  EXPECT_EQ(pieces[2].offset, 7U);
}

TEST(Suggest, EditDistanceCountsSwapsOnce) {
  EXPECT_EQ(edit_distance("rigth", "right", 5), 1U);
  EXPECT_EQ(edit_distance("", "abc", 5), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting", 5), 3U);
  EXPECT_EQ(edit_distance("abc", "xyz", 1), 2U);  // gives up above the limit
}

TEST(Suggest, NearestWordOrNone) {
  EXPECT_EQ(nearest("lefsubnet", {"left", "leftsubnet", "rightsubnet"}), "leftsubnet");
  EXPECT_EQ(nearest("banana", {"left", "right"}), "");
  EXPECT_EQ(one_of({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace cygnet::config
