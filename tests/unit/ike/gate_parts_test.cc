// SPDX-License-Identifier: Apache-2.0
// Puzzles and the count of half-open IKE SAs by where they come from.
#include <gtest/gtest.h>

#include <numeric>

#include "crypto/prf.h"
#include "ike/puzzle.h"
#include "ike/v2/half_open.h"
#include "ike/v2/newcomers.h"
#include "ike/v2/piece_budget.h"

namespace cygnet::ike {
namespace {

IpAddress at(std::string_view text) { return *IpAddress::parse(text); }

TEST(Puzzle, FourDifferentKeysWithEnoughZeroBits) {
  const Bytes cookie(35, 0x5a);
  const auto keys = solve_puzzle(model::PrfId::kHmacSha2_256, 8, cookie);
  ASSERT_TRUE(keys);
  ASSERT_EQ(keys->size(), 32U);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::array<ByteView, 1> data{cookie};
    const auto result = crypto::prf(model::PrfId::kHmacSha2_256, ByteView(*keys).subspan(i * 8, 8), data);
    EXPECT_EQ(result.back(), 0U) << i;  // eight bits at the end
  }
  EXPECT_TRUE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 8, cookie, *keys));
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_384, 8, cookie, *keys));
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 20, cookie, *keys));
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 8, Bytes(35, 0x5b), *keys));
}

TEST(Puzzle, TheSameKeyFourTimesIsNoSolution) {
  const Bytes cookie(35, 1);
  auto keys = *solve_puzzle(model::PrfId::kHmacSha2_256, 4, cookie);
  std::copy_n(keys.begin(), 8, keys.begin() + 8);
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 4, cookie, keys));
}

TEST(Puzzle, OddSizesAreNoSolution) {
  const Bytes cookie(35, 1);
  for (const std::size_t octets : {0U, 1U, 3U, 5U, 33U, 132U, 260U})
    EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 0, cookie, Bytes(octets, 7))) << octets;
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kNone, 0, cookie, Bytes(4, 7)));
}

TEST(Puzzle, IsGivenUpWhenNobodyWaitsForIt) {
  int asked = 0;
  const auto keys = solve_puzzle(model::PrfId::kHmacSha2_256, 24, Bytes(35, 1), [&] { return ++asked < 3; });
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().message, "nobody waits for the solution any more");
  EXPECT_EQ(asked, 3);
}

TEST(Puzzle, TooHardOnesAreNotTakenOn) {
  EXPECT_FALSE(solve_puzzle(model::PrfId::kHmacSha2_256, kHardestPuzzle + 1, Bytes(8)));
  EXPECT_FALSE(solve_puzzle(model::PrfId::kNone, 1, Bytes(8)));
}

// Found with Python's hmac and hashlib: Nr is 00..1f, SPIr 0123456789abcdef, nine zero bits.
TEST(Puzzle, SolutionsOfOthersAreTaken) {
  Bytes text(32), keys;
  std::iota(text.begin(), text.end(), std::uint8_t{0});
  ASSERT_TRUE(from_hex("000320000f1b0010840010eb", keys));
  Bytes spi;
  ASSERT_TRUE(from_hex("0123456789abcdef", spi));
  append(text, ByteView(spi));
  EXPECT_TRUE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 9, text, keys));
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 15, text, keys));
  text.back() ^= 1;
  EXPECT_FALSE(puzzle_is_solved(model::PrfId::kHmacSha2_256, 9, text, keys));
}

TEST(Newcomers, HalfOfThemFalse) {
  v2::Newcomers newcomers;
  Instant now{std::chrono::hours(1)};
  for (int i = 0; i < 15; ++i) newcomers.note(now, false);
  EXPECT_FALSE(newcomers.mostly_false(now, 50)) << "too few to say so";
  newcomers.note(now, false);
  EXPECT_TRUE(newcomers.mostly_false(now, 50));
  EXPECT_FALSE(newcomers.mostly_false(now, 0)) << "never";
  EXPECT_TRUE(newcomers.mostly_false(now, 100));
  for (int i = 0; i < 17; ++i) newcomers.note(now, true);
  EXPECT_TRUE(newcomers.mostly_false(now, 50)) << "16 of 33: less than half, and more than a quarter";
  for (int i = 0; i < 32; ++i) newcomers.note(now, true);
  EXPECT_FALSE(newcomers.mostly_false(now, 50)) << "16 of 65";
  EXPECT_FALSE(newcomers.mostly_false(now, 30)) << "16 of 65";
  EXPECT_TRUE(newcomers.mostly_false(now, 20));
}

TEST(Newcomers, AreForgotten) {
  v2::Newcomers newcomers;
  Instant now{std::chrono::hours(1)};
  for (int i = 0; i < 32; ++i) newcomers.note(now, false);
  now += std::chrono::seconds(10);
  EXPECT_TRUE(newcomers.mostly_false(now, 50)) << "16 left";
  now += std::chrono::seconds(10);
  EXPECT_TRUE(newcomers.mostly_false(now, 50)) << "8 left";
  now += std::chrono::seconds(10);
  EXPECT_FALSE(newcomers.mostly_false(now, 50)) << "4 left";
  for (int i = 0; i < 16; ++i) newcomers.note(now, false);
  now += std::chrono::hours(1000);
  EXPECT_FALSE(newcomers.mostly_false(now, 50));
}

TEST(SpentPuzzles, AreKnownWhileTheirCookieIsGood) {
  v2::SpentPuzzles spent;
  const auto cookie = [](std::uint8_t n) { return Bytes(35, n); };
  spent.note(cookie(1));
  EXPECT_TRUE(spent.contains(cookie(1)));
  EXPECT_FALSE(spent.contains(cookie(2)));
  EXPECT_FALSE(spent.contains(Bytes(3, 1)));
  spent.turn_over();
  spent.note(cookie(2));
  EXPECT_TRUE(spent.contains(cookie(1)));
  spent.turn_over();
  EXPECT_FALSE(spent.contains(cookie(1)));
  EXPECT_TRUE(spent.contains(cookie(2)));
}

TEST(SpentPuzzles, AreBounded) {
  v2::SpentPuzzles spent;
  const auto cookie = [](std::uint64_t n) {
    Bytes out(8);
    store_be64(out.data(), n);
    return out;
  };
  for (std::uint64_t n = 1; n <= v2::SpentPuzzles::kMost; ++n) spent.note(cookie(n));
  EXPECT_TRUE(spent.contains(cookie(v2::SpentPuzzles::kMost)));
  spent.note(cookie(v2::SpentPuzzles::kMost + 1));
  EXPECT_FALSE(spent.contains(cookie(v2::SpentPuzzles::kMost + 1)));
}

TEST(HalfOpen, CountsByAddressAndNetwork) {
  v2::HalfOpen half_open;
  half_open.enter(at("192.0.2.1"));
  half_open.enter(at("192.0.2.1"));
  half_open.enter(at("192.0.2.77"));
  half_open.enter(at("192.0.3.1"));
  EXPECT_EQ(half_open.total(), 4U);
  EXPECT_EQ(half_open.around(at("192.0.2.1")).address, 2U);
  EXPECT_EQ(half_open.around(at("192.0.2.1")).network, 3U);
  EXPECT_EQ(half_open.around(at("192.0.2.200")).address, 0U);
  EXPECT_EQ(half_open.around(at("192.0.2.200")).network, 3U);
  EXPECT_EQ(half_open.around(at("198.51.100.1")).network, 0U);
}

TEST(HalfOpen, AnIpv6SubscriberIsItsSixtyFour) {
  v2::HalfOpen half_open;
  half_open.enter(at("2001:db8:1:1::1"));
  half_open.enter(at("2001:db8:1:1:ffff::2"));
  half_open.enter(at("2001:db8:1:2::1"));
  half_open.enter(at("2001:db8:2::1"));
  EXPECT_EQ(half_open.around(at("2001:db8:1:1::3")).address, 2U);
  EXPECT_EQ(half_open.around(at("2001:db8:1:1::3")).network, 3U);
}

TEST(HalfOpen, NothingStaysBehind) {
  v2::HalfOpen half_open;
  for (std::uint32_t i = 0; i < 1000; ++i) half_open.enter(IpAddress::v4(i * 77777));
  EXPECT_LE(half_open.entries(), 2000U);
  for (std::uint32_t i = 0; i < 1000; ++i) half_open.leave(IpAddress::v4(i * 77777));
  EXPECT_EQ(half_open.total(), 0U);
  EXPECT_EQ(half_open.entries(), 0U);
  half_open.leave(at("192.0.2.1"));
  EXPECT_EQ(half_open.total(), 0U);
}

// ---- pieces of fragmented messages

TEST(PieceBudget, OnePlaceDoesNotTakeWhatAllStrangersShare) {
  v2::PieceBudget budget;
  const auto here = std::optional(at("192.0.2.1"));
  EXPECT_FALSE(budget.has_room(here, 0, 60000));  // more than one stranger may say
  EXPECT_FALSE(budget.has_room(here, 20000, 5000));
  std::size_t sets = 0;
  for (; budget.has_room(here, 0, 20000); ++sets) budget.change(here, 0, 20000);
  EXPECT_EQ(sets, 13U);  // 256 KiB
  EXPECT_TRUE(budget.has_room(at("192.0.2.2"), 0, 20000));
  EXPECT_TRUE(budget.has_room(std::nullopt, 0, 60000));  // those who are known have a share of their own
  budget.change(here, 20000, 0);
  EXPECT_TRUE(budget.has_room(here, 0, 20000));
  EXPECT_EQ(budget.octets(), 12U * 20000U);
}

TEST(PieceBudget, AnIpv6SubscriberIsOnePlace) {
  v2::PieceBudget budget;
  std::size_t sets = 0;
  for (; sets < 100; ++sets) {
    const auto next = at("2001:db8::" + std::to_string(sets + 1));
    if (!budget.has_room(next, 0, 20000)) break;
    budget.change(next, 0, 20000);
  }
  EXPECT_EQ(sets, 13U);
  EXPECT_TRUE(budget.has_room(at("2001:db8:0:1::1"), 0, 20000));
}

TEST(PieceBudget, StrangersTogetherLeaveTheKnownTheirs) {
  v2::PieceBudget budget;
  std::size_t places = 0;
  for (; places < 1000; ++places) {
    const auto from = at("192.0." + std::to_string(places / 250) + "." + std::to_string(places % 250 + 1));
    if (!budget.has_room(from, 0, 24000)) break;
    budget.change(from, 0, 24000);
  }
  EXPECT_EQ(places, 174U);  // 4 MiB
  std::size_t known = 0;
  for (; known < 1000 && budget.has_room(std::nullopt, 0, 65000); ++known) budget.change(std::nullopt, 0, 65000);
  EXPECT_EQ(known, 258U);  // 16 MiB
}

}  // namespace
}  // namespace cygnet::ike
