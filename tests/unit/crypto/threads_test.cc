// SPDX-License-Identifier: Apache-2.0
// A cipher belongs to one thread at a time, but many threads have ciphers: what they share underneath must bear it.
#include <array>
#include <thread>

#include "crypto/key_exchange.h"
#include "crypto/prf.h"
#include "unit/crypto/esp_cases.h"

namespace cygnet::crypto::test {
namespace {

// Seals and opens bursts of every algorithm; gives the number of packets that came back right.
std::size_t work_through(std::uint64_t seed) {
  std::size_t good = 0;
  for (const auto& algorithm : algorithms()) {
    const auto made = create_esp_cipher(spec_of(algorithm, true));
    if (!made) return 0;
    auto& cipher = **made;
    std::vector<Packet> packets;
    std::vector<EspJob> jobs;
    packets.reserve(16);
    for (std::size_t i = 0; i < 16; ++i) {
      packets.emplace_back(cipher, payload_of(160, seed), seed * 100 + i);
      jobs.push_back(packets.back().job);
    }
    cipher.seal(jobs);
    cipher.open(jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i)
      good += jobs[i].ok && packets[i].payload(cipher) == payload_of(160, seed) ? 1U : 0U;
  }
  return good;
}

TEST(Threads, EachWithItsOwnCiphers) {
  std::array<std::size_t, 4> good{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&good, t] {
      for (std::uint64_t round = 0; round < 5; ++round) good[t] += work_through(t * 10 + round);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto count : good) EXPECT_EQ(count, 5 * 16 * algorithms().size());
}

// A cipher made on one thread works on another: the daemon creates SAs where it likes.
TEST(Threads, ACipherMovesBetweenThem) {
  for (const auto& algorithm : algorithms()) {
    const auto cipher = make(spec_of(algorithm, false), EspProvider::kBest);
    Packet packet(*cipher, payload_of(96, 1), 1);
    std::thread([&] { cipher->seal({&packet.job, 1}); }).join();
    cipher->open({&packet.job, 1});
    EXPECT_TRUE(packet.job.ok) << algorithm.name;
  }
}

TEST(Threads, KeyExchangesSideBySide) {
  constexpr std::array kGroups = {model::KeGroup::kX25519, model::KeGroup::kEcp256, model::KeGroup::kEcp521,
                                  model::KeGroup::kModp2048};
  std::array<bool, 4> agreed{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < agreed.size(); ++t) {
    threads.emplace_back([&, t] {
      SeededRandom random(t + 1);
      const auto a = generate_key_pair(kGroups[t], random);
      const auto b = generate_key_pair(kGroups[t], random);
      if (!a || !b) return;
      const auto ab = derive_shared_secret(*a, b->public_value);
      const auto ba = derive_shared_secret(*b, a->public_value);
      agreed[t] = ab && ba && *ab == *ba;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(agreed, (std::array<bool, 4>{true, true, true, true}));
}

}  // namespace
}  // namespace cygnet::crypto::test
