// SPDX-License-Identifier: Apache-2.0
// Readers on other threads look up while one thread changes SAD and SPD: what stays is always found, what comes and
// goes is found whole or not at all. ThreadSanitizer watches.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/random.h"
#include "engine/epochs.h"
#include "engine/sad.h"
#include "engine/spd.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

constexpr std::uint32_t kStays = 500;
constexpr std::uint32_t kComesAndGoes = 3000;
constexpr std::uint32_t kFirstSpi = 1000;
constexpr int kChanges = 20000;

// Runs readers beside the writer until that is done; a reader's look() says how many answers were wrong.
template <typename Look, typename Write>
[[nodiscard]] std::uint64_t beside(Epochs& epochs, Look look, Write write) {
  std::atomic<bool> done{false};
  std::atomic<int> ready{0};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    readers.emplace_back([&, seed] {
      auto* reader = epochs.join();
      SeededRandom random(seed);
      ++ready;
      while (!done.load()) {
        wrong += look(random);
        reader->quiescent();
        if (random.below(64) == 0) {
          reader->rest();
          std::this_thread::yield();
          reader->resume();
        }
      }
      epochs.leave(*reader);
    });
  }
  while (ready.load() < 2) std::this_thread::yield();
  write();
  done = true;
  for (auto& reader : readers) reader.join();
  return wrong;
}

[[nodiscard]] std::unique_ptr<InboundSa> inbound(std::uint32_t i) {
  auto sa = std::make_unique<InboundSa>(64, false);
  sa->spec.spi = Spi{kFirstSpi + i};
  sa->spec.child = model::ChildId{i};
  return sa;
}

[[nodiscard]] std::unique_ptr<OutboundSa> outbound(std::uint32_t i) {
  auto sa = std::make_unique<OutboundSa>();
  sa->spec.direction = model::Direction::kOutbound;
  sa->spec.spi = Spi{kFirstSpi + i};
  sa->spec.child = model::ChildId{i};
  sa->spec.policy = model::PolicyId{1 + i % 2};
  sa->spec.remote = {IpAddress::v4(0xc0000200 + i), 4500};
  sa->spec.remote_selectors = {model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000 + i)))};
  sa->spec.local_selectors = {model::TrafficSelector::of(IpRange::all(Family::kV4))};
  return sa;
}

TEST(ConcurrentSad, ReadersFindWhatStays) {
  Epochs epochs;
  Sad sad(epochs, 99);
  for (std::uint32_t i = 0; i < kStays; ++i) sad.insert(inbound(i));
  const auto look = [&](SeededRandom& random) {
    std::array<Spi, 32> spis;
    std::array<InboundSa*, 32> found{};
    for (auto& spi : spis) spi = Spi{kFirstSpi + static_cast<std::uint32_t>(random.below(kStays + kComesAndGoes))};
    sad.find_inbound(spis, found);
    std::uint64_t wrong = 0;
    for (std::size_t k = 0; k < spis.size(); ++k) {
      if (found[k] == nullptr) {
        wrong += spis[k].value < kFirstSpi + kStays ? 1 : 0;
      } else {
        wrong += found[k]->spec.spi != spis[k] ? 1 : 0;
      }
    }
    return wrong;
  };
  const auto write = [&] {
    SeededRandom random(77);
    for (int n = 0; n < kChanges; ++n) {
      const auto i = kStays + static_cast<std::uint32_t>(random.below(kComesAndGoes));
      if (auto* sa = sad.find_inbound(Spi{kFirstSpi + i})) {
        sad.erase(*sa);
      } else {
        sad.insert(inbound(i));
      }
    }
  };
  EXPECT_EQ(beside(epochs, look, write), 0U);
  epochs.collect();
  EXPECT_EQ(epochs.waiting(), 0U);
}

TEST(ConcurrentSad, ReadersSelectAmongTheSasOfAPolicy) {
  Epochs epochs;
  Sad sad(epochs, 99);
  for (std::uint32_t i = 0; i < 6; ++i) sad.insert(outbound(i));
  const auto look = [&](SeededRandom& random) {
    const auto i = static_cast<std::uint32_t>(random.below(40));
    const auto* sa =
        sad.select(model::PolicyId{1 + i % 2}, {.local = ip("192.0.2.1"), .remote = IpAddress::v4(0x0a000000 + i)});
    if (sa == nullptr) return i < 6 ? 1 : 0;
    return sa->spec.spi.value != kFirstSpi + i ? 1 : 0;
  };
  const auto write = [&] {
    SeededRandom random(78);
    for (int n = 0; n < kChanges; ++n) {
      // To and fro across the number from which they are indexed.
      const auto i = 6 + static_cast<std::uint32_t>(random.below(34));
      const bool many = n / 1000 % 2 == 0;
      auto* sa = sad.outbound_of(model::ChildId{i});
      if (sa != nullptr && (!many || random.below(4) == 0)) sad.erase(*sa);
      if (sa == nullptr && (many || random.below(4) == 0)) sad.insert(outbound(i));
    }
  };
  EXPECT_EQ(beside(epochs, look, write), 0U);
}

[[nodiscard]] model::PolicySpec entry(std::uint32_t id, std::uint32_t order, const IpRange& local,
                                      const IpRange& remote) {
  model::PolicySpec p;
  p.id = model::PolicyId{id};
  p.order = order;
  p.local = {model::TrafficSelector::of(local)};
  p.remote = {model::TrafficSelector::of(remote)};
  p.device = "";
  return p;
}

TEST(ConcurrentSpd, ReadersFindTheFirstPolicyThatStays) {
  Epochs epochs;
  Spd spd(epochs, 5);
  const auto all = IpRange::all(Family::kV4);
  // Of each address of 10.0.0.0/23 one policy of order 100 stays; others of order 50 (ranges around it) and 200 come
  // and go.
  for (std::uint32_t i = 0; i < kStays; ++i) {
    spd.install(entry(1 + i, 100, all, IpRange::of(IpAddress::v4(0x0a000000 + i))), 0);
  }
  const auto look = [&](SeededRandom& random) {
    std::array<PacketSelectors, 32> packets;
    const std::array<DeviceId, 32> devices{};
    std::array<Policy*, 32> found{};
    for (auto& packet : packets) {
      packet.local = IpAddress::v4(0xc0a80000 + static_cast<std::uint32_t>(random.below(256)));
      packet.remote = IpAddress::v4(0x0a000000 + static_cast<std::uint32_t>(random.below(kStays)));
    }
    spd.find(packets, devices, found);
    std::uint64_t wrong = 0;
    for (std::size_t k = 0; k < packets.size(); ++k) {
      const auto* policy = found[k];
      const bool good = policy != nullptr && policy->spec.order <= 100 && policy->matches(packets[k]);
      wrong += good ? 0 : 1;
    }
    return wrong;
  };
  const auto write = [&] {
    SeededRandom random(79);
    for (int n = 0; n < kChanges; ++n) {
      const auto id = 10000 + static_cast<std::uint32_t>(random.below(kComesAndGoes));
      if (spd.remove(model::PolicyId{id})) continue;
      const auto low = static_cast<std::uint32_t>(random.below(kStays));
      const IpRange remote{IpAddress::v4(0x0a000000 + low),
                           IpAddress::v4(0x0a000000 + low + static_cast<std::uint32_t>(random.below(64)))};
      const auto local = random.below(3) == 0 ? all : IpRange::of(IpAddress::v4(0xc0a80000 + id % 256));
      spd.install(entry(id, random.below(2) == 0 ? 50 : 200, local, remote), 0);
      if (n % 50 == 0) {
        // One that stays is replaced by itself: never missing meanwhile.
        const auto i = static_cast<std::uint32_t>(random.below(kStays));
        spd.install(entry(1 + i, 100, all, IpRange::of(IpAddress::v4(0x0a000000 + i))), 0);
      }
    }
  };
  EXPECT_EQ(beside(epochs, look, write), 0U);
}

TEST(EpochsReaders, MemoryLivesUntilEachReaderHasMovedOn) {
  Epochs epochs;
  int freed = 0;
  const auto count = [](void* context, void*, std::size_t) { ++*static_cast<int*>(context); };
  epochs.retire(&freed, 0, count, &freed);
  EXPECT_EQ(freed, 1);  // nobody reads
  auto* one = epochs.join();
  auto* two = epochs.join();
  epochs.retire(&freed, 0, count, &freed);
  epochs.collect();
  EXPECT_EQ(freed, 1);
  one->quiescent();
  epochs.collect();
  EXPECT_EQ(freed, 1);
  two->rest();
  epochs.collect();
  EXPECT_EQ(freed, 2);
  epochs.leave(*one);
  epochs.leave(*two);
  for (std::size_t i = 0; i < Epochs::kMaxReaders; ++i) ASSERT_NE(epochs.join(), nullptr);
  EXPECT_EQ(epochs.join(), nullptr);
}

}  // namespace
}  // namespace cygnet::engine::test
