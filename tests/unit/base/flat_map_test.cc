// SPDX-License-Identifier: Apache-2.0
#include "base/flat_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/random.h"
#include "base/roomy_optional.h"
#include "base/strong.h"

namespace cygnet {
namespace {

// Few keys on purpose: long runs of neighbours, and erasures in the midst of them.
TEST(FlatMap, DoesWhatAMapDoes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    FlatMap<Spi, std::uint64_t> flat(random.u64());
    std::map<Spi, std::uint64_t> model;
    for (int i = 0; i < 4000; ++i) {
      const Spi key(1 + static_cast<std::uint32_t>(random.below(seed * 30)));
      if (random.below(2) == 0) {
        const auto value = random.u64();
        const auto [at, fresh] = flat.insert(key);
        EXPECT_EQ(fresh, !model.contains(key));
        *at = value;
        model[key] = value;
      } else {
        EXPECT_EQ(flat.erase(key), model.erase(key) == 1);
      }
      ASSERT_EQ(flat.size(), model.size());
    }
    std::map<Spi, std::uint64_t> seen;
    for (const auto& [key, value] : flat) seen[key] = value;
    EXPECT_EQ(seen, model);
    for (std::uint32_t k = 0; k < seed * 30 + 2; ++k) {
      const auto* found = flat.find(Spi(k));
      ASSERT_EQ(found != nullptr, model.contains(Spi(k))) << k;
      if (found != nullptr) {
        EXPECT_EQ(*found, model.at(Spi(k)));
      }
    }
  }
}

// Keys that agree in all of their lower, or all of their upper, or all of their odd bits.
TEST(FlatMap, NoKeysMakeLongProbesWithoutTheSeed) {
  for (std::uint64_t seed = 0; seed <= 8; ++seed) {
    for (const unsigned shift : {0U, 20U, 32U, 40U, 51U}) {
      FlatMap<std::uint64_t, NoValue> flat(seed);
      for (std::uint64_t i = 0; i < 4096; ++i) (void)flat.insert((i << shift) | (shift == 0 ? 1ULL << 63U : 1U));
      EXPECT_EQ(flat.size(), 4096U);
      EXPECT_LT(flat.longest_probe(), 64U) << "seed " << seed << ", shift " << shift;
    }
    FlatMap<std::uint64_t, NoValue> spread(seed);
    for (std::uint64_t i = 0; i < 4096; ++i) {
      std::uint64_t key = 1ULL << 63U;
      for (unsigned bit = 0; bit < 12; ++bit) key |= ((i >> bit) & 1U) << (2 * bit);
      (void)spread.insert(key);
    }
    EXPECT_LT(spread.longest_probe(), 64U) << seed;
  }
}

TEST(FlatMap, ZeroIsNobody) {
  FlatMap<std::uint64_t, int> flat;
  EXPECT_FALSE(flat.contains(0));
  EXPECT_FALSE(flat.erase(0));
  flat[7] = 3;
  EXPECT_EQ(flat.find(0), nullptr);
  EXPECT_FALSE(flat.erase(0));
  EXPECT_EQ(flat.size(), 1U);
}

TEST(FlatMap, HoldsWhatCannotBeCopied) {
  FlatMap<std::uint64_t, std::unique_ptr<int>> flat;
  for (std::uint64_t k = 1; k <= 1000; ++k) flat[k] = std::make_unique<int>(static_cast<int>(k));
  for (std::uint64_t k = 1; k <= 1000; k += 2) EXPECT_TRUE(flat.erase(k));
  EXPECT_EQ(flat.size(), 500U);
  for (std::uint64_t k = 2; k <= 1000; k += 2) EXPECT_EQ(**flat.find(k), static_cast<int>(k));
  EXPECT_EQ(flat.find(501), nullptr);
}

TEST(FlatSet, KeepsWordsWithoutAnythingBeside) {
  EXPECT_EQ(sizeof(FlatMap<std::uint64_t, NoValue>::Slot), sizeof(std::uint64_t));
  FlatSet<IkeSpi> set;
  EXPECT_TRUE(set.empty());
  EXPECT_TRUE(set.any().is_zero());
  EXPECT_TRUE(set.insert(IkeSpi(5)));
  EXPECT_FALSE(set.insert(IkeSpi(5)));
  EXPECT_TRUE(set.insert(IkeSpi(6)));
  std::vector<IkeSpi> all;
  set.append_to(all);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (std::vector{IkeSpi(5), IkeSpi(6)}));
  EXPECT_TRUE(set.erase(IkeSpi(5)));
  EXPECT_EQ(set.any(), IkeSpi(6));
}

TEST(RoomyOptional, IsAnOptional) {
  EXPECT_EQ(sizeof(RoomyOptional<std::array<char, 500>>), sizeof(void*));
  RoomyOptional<std::string> text;
  EXPECT_FALSE(text);
  text.reset();
  text = "there";
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text, "there");
  const auto* place = &*text;
  text.reset();
  EXPECT_FALSE(text);
  // As with std::optional, the room is the same until it is given back.
  EXPECT_EQ(&text.emplace(), place);
  EXPECT_TRUE(text->empty());
  text.give_room_back();
  EXPECT_TRUE(text.has_value());
  text.reset();
  text.give_room_back();
  EXPECT_FALSE(text.has_value());
}

}  // namespace
}  // namespace cygnet
