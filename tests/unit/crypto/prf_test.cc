// SPDX-License-Identifier: Apache-2.0
#include "crypto/prf.h"

#include <gtest/gtest.h>

#include <array>

#include "base/random.h"

namespace cygnet::crypto {
namespace {

using model::PrfId;
constexpr std::array<PrfId, 3> kPrfs = {PrfId::kHmacSha2_256, PrfId::kHmacSha2_384, PrfId::kHmacSha2_512};

SecretBytes prf_of(PrfId id, ByteView key, ByteView data) { return prf(id, key, std::array<ByteView, 1>{data}); }

// RFC 4231 test case 2 (a key shorter than a block) and 6 (a key longer than a block).
TEST(Prf, KnownAnswers) {
  EXPECT_EQ(to_hex(prf_of(PrfId::kHmacSha2_256, view_of("Jefe"), view_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(prf_of(PrfId::kHmacSha2_256, Bytes(131, 0xaa),
                          view_of("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Prf, OutputSizeIsTheHashs) {
  EXPECT_EQ(prf_of(PrfId::kHmacSha2_256, view_of("k"), {}).size(), 32U);
  EXPECT_EQ(prf_of(PrfId::kHmacSha2_384, view_of("k"), {}).size(), 48U);
  EXPECT_EQ(prf_of(PrfId::kHmacSha2_512, view_of("k"), {}).size(), 64U);
}

TEST(Prf, PiecesAreConcatenated) {
  SeededRandom random(1);
  const auto key = random.bytes(48);
  const auto data = random.bytes(500);
  for (const auto id : kPrfs) {
    const std::array<ByteView, 4> pieces = {ByteView(data).first(1), ByteView{}, ByteView(data).subspan(1, 127),
                                            ByteView(data).subspan(128)};
    EXPECT_EQ(prf(id, key, pieces), prf_of(id, key, data));
  }
}

TEST(Prf, EmptyKeyAndEmptyDataAreWellDefined) {
  // HMAC-SHA-256 of nothing under an empty key.
  EXPECT_EQ(to_hex(prf_of(PrfId::kHmacSha2_256, {}, {})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  EXPECT_EQ(prf(PrfId::kHmacSha2_256, {}, {}), prf_of(PrfId::kHmacSha2_256, {}, {}));
}

TEST(Prf, UnknownPrfGivesNothing) {
  EXPECT_TRUE(prf_of(PrfId::kNone, view_of("k"), view_of("d")).empty());
  EXPECT_TRUE(prf_of(static_cast<PrfId>(1), view_of("k"), view_of("d")).empty());
}

// RFC 7296 section 2.13 spelt out: T1 | T2 | T3, each over the one before, the seed and a counter.
TEST(PrfPlus, IsTheChainOfTheRfc) {
  SeededRandom random(2);
  const auto key = random.bytes(32);
  const auto seed = random.bytes(70);
  for (const auto id : kPrfs) {
    SecretBytes expected;
    SecretBytes last;
    for (std::uint8_t counter = 1; counter <= 3; ++counter) {
      const std::array<ByteView, 3> pieces = {last, seed, ByteView(&counter, 1)};
      last = prf(id, key, pieces);
      append(expected, last);
    }
    const auto got = prf_plus(id, key, seed, expected.size());
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(*got, expected);
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, last.size() - 1, last.size(), last.size() + 1}) {
      const auto part = prf_plus(id, key, seed, length);
      ASSERT_TRUE(part.has_value());
      EXPECT_EQ(*part, SecretBytes(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(length)));
    }
  }
}

TEST(PrfPlus, EndsAfter255Blocks) {
  for (const auto id : kPrfs) {
    const std::size_t limit = 255 * model::key_octets(id);
    const auto all = prf_plus(id, view_of("key"), view_of("seed"), limit);
    ASSERT_TRUE(all.has_value());
    EXPECT_EQ(all->size(), limit);
    EXPECT_FALSE(prf_plus(id, view_of("key"), view_of("seed"), limit + 1).has_value());
  }
  EXPECT_FALSE(prf_plus(PrfId::kNone, view_of("key"), view_of("seed"), 1).has_value());
}

TEST(Hash, KnownAnswers) {
  const std::array<ByteView, 2> abc = {view_of("a"), view_of("bc")};
  EXPECT_EQ(to_hex(sha1(abc)), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(to_hex(sha256(abc)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha1({})), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

}  // namespace
}  // namespace cygnet::crypto
