// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bursts whose ciphers work elsewhere (crypto/async_cipher.h). A burst is a flight:
//   take      one that is free; none: too much is under way, so packets wait where they are (device, socket)
//   launch    parse, policy, SA, sequence numbers, headers - or SA, replay window -, then batches go to the provider
//   poll      batches come back, in any order
//   next      the oldest of its way, once it is whole: replay window, selectors, verdicts
//   give_back when its verdicts have been carried out
// So packets are sent and delivered in the order in which they came, whatever the provider does. SAs that go meanwhile
// stay in memory until the flights that know them are over. Driven by one thread, the engine's own.
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "crypto/async_cipher.h"
#include "engine/engine.h"

namespace cygnet::engine {

enum class Way : std::uint8_t { kOut, kIn };

struct Flight {
  std::uint32_t number = 0;  // of its way, from 0
  Way way = Way::kOut;
  // To be filled between take() and launch(), those of its way; what they point at stays until give_back().
  std::vector<OutPacket> out;
  std::vector<InPacket> in;
  Verdicts verdicts;  // once next() has given it

 private:
  friend class Flights;
  Lane* lane = nullptr;
  std::vector<crypto::CipherTask> tasks;
  std::vector<crypto::CipherBatch> batches;
  std::size_t undone = 0;  // batches
};

class Flights {
 public:
  static constexpr std::size_t kMostEachWay = 16;
  // Packets handed out at once: enough to be worth the way, few enough that several threads share a large burst.
  static constexpr std::size_t kBatchJobs = 64;
  static constexpr std::size_t kBatchOctets = 48U << 10U;

  struct Counters {
    std::uint64_t bursts = 0;   // launched
    std::uint64_t batches = 0;  // handed out
    std::uint64_t inside = 0;   // tasks done by this thread, because no other may call the cipher
    std::uint64_t waits = 0;    // nothing was free: packets had to wait
    std::uint64_t full = 0;     // the provider had no room: the batch was handed out later
    std::uint64_t failed = 0;   // batches that came back undone and were done here
  };

  // each_way: at most kMostEachWay. arena_octets: see Verdicts.
  Flights(Engine& engine, crypto::AsyncCipher& provider, std::size_t each_way,
          std::size_t arena_octets = Verdicts::kDefaultArenaOctets);
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;
  // The provider must have given back all, or be gone.
  ~Flights();

  // See Verdicts; what SAs with traffic=latency send and deliver is in no flight then, and waits for none.
  void part_urgent(UrgentSink& sink);
  [[nodiscard]] Flight* take(Way way);
  // At most 32 packets.
  void launch(Flight& flight, Instant now);
  // Engine::on_timer(): what it sends keeps its place behind the flights out before it.
  void launch_timer(Flight& flight, Instant now);
  void poll();
  [[nodiscard]] Flight* next(Way way);
  // Also one that was taken and not launched.
  void give_back(Flight& flight);

  [[nodiscard]] std::size_t under_way(Way way) const { return of(way).in_order.size(); }
  // Some have launched and are not given back.
  [[nodiscard]] bool busy() const { return under_way(Way::kOut) + under_way(Way::kIn) != 0; }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Fleet {
    std::vector<std::unique_ptr<Flight>> all;
    std::vector<Flight*> free;
    std::deque<Flight*> in_order;  // launched, oldest first
  };
  [[nodiscard]] Fleet& of(Way way) { return fleets_[static_cast<std::size_t>(way)]; }
  [[nodiscard]] const Fleet& of(Way way) const { return fleets_[static_cast<std::size_t>(way)]; }
  template <typename Sa>
  void plan(Flight& flight, std::span<Sa* const> sas);
  void hand_out(Flight& flight);
  void take_back(crypto::CipherBatch& batch);

  Engine& engine_;
  crypto::AsyncCipher& provider_;
  std::array<Fleet, 2> fleets_;
  std::deque<crypto::CipherBatch*> waiting_;  // for room at the provider
  std::vector<std::size_t> batch_ends_;       // of the flight being planned: how many tasks were before
  Counters counters_;
};

}  // namespace cygnet::engine
