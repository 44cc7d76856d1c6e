// SPDX-License-Identifier: Apache-2.0
// The classifier behind the SPD: held against a linear scan, in crowds that differ in one thing alone, and emptied
// again.
#include <gtest/gtest.h>

#include "base/random.h"
#include "fuzz/spd_world.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

[[nodiscard]] model::PolicySpec policy(std::uint32_t id, std::uint32_t order, const model::TrafficSelector& local,
                                       const model::TrafficSelector& remote) {
  model::PolicySpec p;
  p.id = model::PolicyId{id};
  p.order = order;
  p.local = {local};
  p.remote = {remote};
  p.device = "";
  return p;
}

[[nodiscard]] model::TrafficSelector all() { return model::TrafficSelector::of(IpRange::all(Family::kV4)); }
[[nodiscard]] model::TrafficSelector ports(std::uint16_t first, std::uint16_t last) {
  return {IpRange::of(ip("10.0.0.1")), 17, first, last};
}
[[nodiscard]] model::TrafficSelector range(std::uint32_t first, std::uint32_t last) {
  return model::TrafficSelector::of(IpRange{IpAddress::v4(first), IpAddress::v4(last)});
}

[[nodiscard]] std::uint32_t at(const Spd& spd, std::uint32_t remote, std::uint16_t remote_port = 1,
                               std::uint32_t local = 0x0a000001, DeviceId device = 0) {
  const PacketSelectors packet{IpAddress::v4(local), IpAddress::v4(remote), 17, true, 1, remote_port};
  const auto* found = spd.find(packet, device);
  return found == nullptr ? 0 : found->spec.id.value;
}

constexpr std::uint32_t kTen = 0x0a000000;

TEST(SpdScripts, AgreeWithALinearScan) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SeededRandom random(seed);
    const auto script = random.bytes(seed % 10 == 0 ? 120000 : 12000);
    ASSERT_TRUE(fuzz::SpdWorld(script).play()) << "seed " << seed;
  }
}

TEST(SpdClassifier, TenThousandPortsOnOnePairOfAddresses) {
  Spd spd;
  for (std::uint16_t i = 1; i <= 10000; ++i) spd.install(policy(i, 1000, all(), ports(i, i)), 0);
  for (std::uint16_t i = 1; i <= 10000; ++i) ASSERT_EQ(at(spd, kTen + 1, i), i);
  EXPECT_EQ(at(spd, kTen + 1, 10001), 0U);
  for (std::uint32_t i = 1; i <= 10000; i += 2) ASSERT_TRUE(spd.remove(model::PolicyId{i}));
  for (std::uint16_t i = 1; i <= 10000; ++i) ASSERT_EQ(at(spd, kTen + 1, i), i % 2 == 0 ? i : 0U);
}

TEST(SpdClassifier, NestedPortRangesTheNarrowestFirst) {
  Spd spd;
  constexpr std::uint16_t kCount = 3000;
  for (std::uint16_t i = 1; i <= kCount; ++i) {
    spd.install(policy(i, kCount - i, all(), ports(i, static_cast<std::uint16_t>(65535 - i))), 0);
  }
  EXPECT_EQ(at(spd, kTen + 1, 0), 0U);
  EXPECT_EQ(at(spd, kTen + 1, 5), 5U);
  EXPECT_EQ(at(spd, kTen + 1, 30000), kCount);
  EXPECT_EQ(at(spd, kTen + 1, 65535 - 77), 77U);
}

TEST(SpdClassifier, NestedAddressRangesTheNarrowestFirst) {
  Spd spd;
  constexpr std::uint32_t kCount = 3000;
  for (std::uint32_t i = 1; i <= kCount; ++i) {
    spd.install(policy(i, kCount - i, all(), range(kTen + i, kTen + 0xffffff - i)), 0);
  }
  EXPECT_EQ(at(spd, kTen), 0U);
  EXPECT_EQ(at(spd, kTen + 1), 1U);
  EXPECT_EQ(at(spd, kTen + 2345), 2345U);
  EXPECT_EQ(at(spd, kTen + 0xffffff - 99), 99U);
  EXPECT_EQ(at(spd, kTen + 0x800000), kCount);
}

TEST(SpdClassifier, EveryDeviceItsOwnEverything) {
  Spd spd;
  for (std::uint16_t i = 1; i <= 5000; ++i) {
    auto p = policy(i, 6000U - i, all(), all());
    p.device = "vti" + std::to_string(i);
    spd.install(p, i);
  }
  for (std::uint16_t i = 1; i <= 5000; ++i) ASSERT_EQ(at(spd, kTen, 1, kTen, i), i);
  EXPECT_EQ(at(spd, kTen, 1, kTen, 5001), 0U);
  const PacketSelectors packet{IpAddress::v4(kTen), IpAddress::v4(kTen), 17, true, 1, 1};
  EXPECT_EQ(spd.find(packet)->spec.id.value, 5000U);
}

TEST(SpdClassifier, EqualBoxesGoByOrderThenId) {
  Spd spd;
  for (std::uint32_t i = 1; i <= 1000; ++i) spd.install(policy(i, 10 + i % 7, all(), all()), 0);
  for (const std::uint32_t first : {7U, 14U, 21U}) {
    EXPECT_EQ(at(spd, kTen), first);
    EXPECT_TRUE(spd.remove(model::PolicyId{first}));
  }
}

// Rules that first differ in nothing and later in their addresses: the list becomes an index.
TEST(SpdClassifier, WhatBecomesDistinctIsToldApart) {
  Spd spd;
  for (std::uint32_t i = 1; i <= 100; ++i) spd.install(policy(i, 10, all(), all()), 0);
  for (std::uint32_t i = 101; i <= 3000; ++i) spd.install(policy(i, 5, range(i, i), all()), 0);
  for (std::uint32_t i = 101; i <= 3000; ++i) ASSERT_EQ(at(spd, kTen, 1, i), i);
  EXPECT_EQ(at(spd, kTen, 1, 3001), 1U);
}

// When the list of like rules becomes an index, so many places are made at once that some rules stand where every
// packet comes by. Those are looked for in lists that they never reached; that must not make the lists forget their
// own.
TEST(SpdClassifier, RulesWithoutAPlaceOfTheirOwnGoAlone) {
  Spd spd;
  constexpr std::uint32_t kLike = 8191;
  for (std::uint32_t i = 1; i <= kLike; ++i) spd.install(policy(i, 10, all(), all()), 0);
  spd.install(policy(kLike + 1, 5, range(7, 7), all()), 0);
  for (std::uint32_t i = 4200; i <= kLike; ++i) ASSERT_TRUE(spd.remove(model::PolicyId{i}));
  EXPECT_EQ(at(spd, kTen, 1, 7), kLike + 1);
  for (std::uint32_t i = 1; i < 4200; ++i) {
    ASSERT_EQ(at(spd, kTen), i);
    ASSERT_TRUE(spd.remove(model::PolicyId{i}));
  }
  EXPECT_EQ(at(spd, kTen), 0U);
}

TEST(SpdClassifier, ABurstOfBothFamiliesAnswersInItsOrder) {
  Spd spd;
  for (std::uint32_t i = 1; i <= 300; ++i) spd.install(policy(i, 10, all(), range(kTen + i, kTen + i)), 0);
  auto six = policy(1000, 10, model::TrafficSelector::of(IpRange::all(Family::kV6)),
                    *model::TrafficSelector::parse("2001:db8::/32"));
  spd.install(six, 0);
  std::vector<PacketSelectors> packets;
  for (std::uint32_t i = 1; i <= 200; ++i) {
    packets.push_back({IpAddress::v4(kTen), IpAddress::v4(kTen + i), 17, true, 1, 1});
    packets.push_back({ip("2001:db8::1"), ip("2001:db8::2"), 17, true, 1, 1});
    packets.push_back({ip("2001:db8::1"), ip("2001:db9::2"), 17, true, 1, 1});
  }
  const std::vector<DeviceId> devices(packets.size(), 0);
  std::vector<Policy*> found(packets.size());
  spd.find(packets, devices, found);
  for (std::uint32_t i = 0; i < 200; ++i) {
    ASSERT_EQ(found[3 * i]->spec.id.value, i + 1);
    ASSERT_EQ(found[3 * i + 1]->spec.id.value, 1000U);
    ASSERT_EQ(found[3 * i + 2], nullptr);
  }
}

// More sets than the queues of a lookup hold: each packet meets one at each of 24 prefixes.
TEST(SpdClassifier, NestedPrefixesOfAWholeBurst) {
  Spd spd;
  SeededRandom random(5);
  std::uint32_t id = 0;
  for (std::uint8_t length = 9; length <= 32; ++length) {
    for (std::uint32_t host = 0; host < 64; host += 3) {
      const auto remote = model::TrafficSelector::of(IpPrefix{IpAddress::v4(kTen), length});
      const auto local = range(0x0b000000 + host, 0x0b000000 + host + random.u32() % 3);
      spd.install(policy(++id, random.u32() % 50, local, remote), 0);
    }
  }
  std::vector<PacketSelectors> packets;
  for (std::uint32_t i = 0; i < 256; ++i) {
    const auto remote = kTen ^ (i % 8 == 0 ? 0 : random.u32() >> (9 + random.u32() % 23));
    packets.push_back({IpAddress::v4(0x0b000000 + i % 64), IpAddress::v4(remote), 17, true, 1, 1});
  }
  const std::vector<DeviceId> devices(packets.size(), 0);
  std::vector<Policy*> found(packets.size());
  spd.find(packets, devices, found);
  const auto all_in_order = spd.ordered();
  std::size_t answered = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const auto first = std::ranges::find_if(all_in_order, [&](const auto* one) { return one->matches(packets[i]); });
    ASSERT_EQ(found[i], first == all_in_order.end() ? nullptr : *first) << i;
    answered += found[i] != nullptr ? 1 : 0;
  }
  EXPECT_GT(answered, 200U);
}

TEST(SpdClassifier, MemoryIsUsedAgain) {
  Spd spd;
  SeededRandom random(7);
  std::size_t first = 0;
  for (int round = 0; round < 8; ++round) {
    for (std::uint32_t i = 1; i <= 5000; ++i) {
      const auto low = random.u32();
      spd.install(policy(i, random.u32() % 50, all(), range(low, low + random.u32() % (UINT32_MAX - low))), 0);
    }
    for (std::uint32_t i = 1; i <= 5000; ++i) ASSERT_TRUE(spd.remove(model::PolicyId{i}));
    if (round == 1) first = spd.index_octets();
  }
  EXPECT_EQ(spd.size(), 0U);
  EXPECT_LE(spd.index_octets(), first * 3 / 2);
}

}  // namespace
}  // namespace cygnet::engine::test
