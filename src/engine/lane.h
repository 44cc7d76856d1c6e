// SPDX-License-Identifier: Apache-2.0
#pragma once

// Several threads and one engine. What the engine knows is looked at and changed by one thread at a time, the one whose
// turn it is; the ciphers, which take most of the time, work outside of turns. A burst out is
//   turn: parse, policy, SA, sequence numbers, headers   then, beside others: cipher   then, in order: send
// and a burst in is
//   turn: SA, replay window?   then, beside others: cipher   then, turn: replay window, selectors, verdicts
// so an SA serves any number of threads: its sequence numbers and its replay window are touched in turns only. What
// leaves must leave in the order of the sequence numbers, for the peer's replay window may be short: each burst out has
// a ticket, and knows which bursts of other lanes have to be sent before it because they used an SA of its own.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/time.h"
#include "engine/burst.h"
#include "engine/epochs.h"

namespace cygnet::engine {

// A lock, made by whoever has threads.
class Turn {
 public:
  virtual ~Turn() = default;
  virtual void take() = 0;
  virtual void give() = 0;
};

// A burst whose ciphers work elsewhere (engine/flights.h), from Engine::begin_...() to finish().
struct UnderWay {
  std::size_t jobs = 0;  // to be finished: the first ones of the lane's
  bool inbound = false;
  std::span<InPacket> packets;  // inbound
  Instant began{};
  Verdicts* out = nullptr;
};

// What a thread that moves packets keeps from burst to burst. Made by Engine::open_lane().
struct Lane {
  static constexpr std::size_t kMost = ClonesOfSa::kMostThreads;

  std::uint32_t number = 0;
  bool shared = false;                       // there are others
  bool held = false;                         // it is this lane's turn
  std::size_t most_jobs = kCipherBurst;      // packets given to the ciphers at once
  Epochs::Reader* reader = nullptr;          // shared: what it works on stays until it rests
  std::uint64_t ticket = 0;                  // of the burst at hand; later bursts, of whichever lane, have larger ones
  std::array<std::uint64_t, kMost> after{};  // lane i's bursts up to this ticket have to be sent before it
  // As they were when the last turn ended: Engine::next_deadline(), and how many events there ever were.
  Instant deadline = kNever;
  std::uint64_t events_raised = 0;
  bool flies = false;  // made by Engine::open_flight(): the last jobs are left to ciphers elsewhere
  UnderWay under_way;
  BurstScratch burst;

  // This burst sends on the SA: after those that did so before.
  void queue_behind(OutboundSa& sa) {
    if (sa.lane_ticket == ticket) return;
    if (sa.lane != number) after[sa.lane] = std::max(after[sa.lane], sa.lane_ticket);
    sa.lane = static_cast<std::uint8_t>(number);
    sa.lane_ticket = ticket;
  }
};

// Whether the ciphers of these packets may work beside other threads. Their keys are made then.
template <typename Sa>
[[nodiscard]] bool prepare_apart(std::span<Sa* const> sas) {
  bool shareable = !sas.empty();
  const Sa* last = nullptr;
  for (auto* sa : sas) {
    if (sa == last) continue;
    last = sa;
    if (sa->worker == nullptr) sa->begin();
    shareable = shareable && sa->shareable;
  }
  return shareable;
}

}  // namespace cygnet::engine
