// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bursts whose ciphers work elsewhere: the last batch handed out is the first to come back, and every third one undone.
#include <algorithm>
#include <vector>

#include "engine/flights.h"
#include "fuzz/engine_world.h"

namespace cygnet::engine::fuzz {

class LastFirst final : public crypto::AsyncCipher {
 public:
  bool submit(crypto::CipherBatch& batch) override {
    held_.push_back(&batch);
    return true;
  }
  std::size_t completed(std::span<crypto::CipherBatch*> done) override {
    if (held_.empty()) return 0;
    done[0] = held_.back();
    held_.pop_back();
    if (++count_ % 3 == 0) {
      done[0]->failed = true;
    } else {
      crypto::work_on(*done[0]);
    }
    return 1;
  }

 private:
  std::vector<crypto::CipherBatch*> held_;
  std::size_t count_ = 0;
};

template <typename Each>
class EachUrgent final : public UrgentSink {
 public:
  explicit EachUrgent(const Each& each) : each_(each) {}
  void on_urgent(Verdicts& verdicts, Instant /*now*/) override {
    each_(std::span<const Verdict>(verdicts.urgent()));
    verdicts.clear_urgent();
  }

 private:
  const Each& each_;
};

// All packets in flights of at most `size`, all under way before the first comes back. `each` gets the verdicts of one
// flight after the other; before them, as they come, those of SAs with traffic=latency.
template <typename Packet, typename Each>
void fly(Engine& engine, Way way, std::span<const Packet> packets, std::size_t size, const Each& each) {
  LastFirst provider;
  EachUrgent<Each> urgent(each);
  const std::size_t flights = std::max<std::size_t>(1, (packets.size() + size - 1) / size);
  require(flights <= Flights::kMostEachWay, "all packets fit into flights");
  Flights all(engine, provider, flights);
  all.part_urgent(urgent);
  for (; !packets.empty(); packets = packets.subspan(std::min(size, packets.size()))) {
    auto* flight = all.take(way);
    require(flight != nullptr, "there is a flight for all packets");
    const auto burst = packets.first(std::min(size, packets.size()));
    if constexpr (std::is_same_v<Packet, OutPacket>) {
      flight->out.assign(burst.begin(), burst.end());
    } else {
      flight->in.assign(burst.begin(), burst.end());
    }
    all.launch(*flight, kWorldTime);
  }
  while (all.busy()) {
    all.poll();
    while (auto* flight = all.next(way)) {
      each(std::span<const Verdict>(flight->verdicts.list()));
      all.give_back(*flight);
    }
  }
}

}  // namespace cygnet::engine::fuzz
