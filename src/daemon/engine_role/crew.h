// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the threads of the engine process have in common (engine/lane.h): whose turn it is, in which order their bursts
// leave, and what the further threads have to tell the first one, which alone speaks with ike.
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "engine/lane.h"
#include "io/waker.h"

namespace cygnet::daemon {

class TurnLock final : public engine::Turn {
 public:
  void take() override;
  void give() override { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds a turn; null: there is one thread, and it is always its turn.
class HoldTurn {
 public:
  explicit HoldTurn(engine::Turn* turn) : turn_(turn) {
    if (turn_ != nullptr) turn_->take();
  }
  HoldTurn(const HoldTurn&) = delete;
  HoldTurn& operator=(const HoldTurn&) = delete;
  ~HoldTurn() {
    if (turn_ != nullptr) turn_->give();
  }

 private:
  engine::Turn* turn_;
};

class Crew {
 public:
  using OnIke = std::function<void(const Endpoint& local, const Endpoint& remote, ByteView message)>;

  explicit Crew(io::Waker waker) : waker_(std::move(waker)) {}
  [[nodiscard]] TurnLock& turn() { return turn_; }

  // ---- the order in which bursts leave
  // Until all that must leave before the lane's burst has left.
  void wait_for_others(const engine::Lane& lane);
  // The burst has left. To be called for each, whether it sent anything or not.
  void has_left(const engine::Lane& lane);

  // ---- to the first thread
  // Readable when there is something for it.
  [[nodiscard]] int waker_fd() const { return waker_.fd(); }
  // An IKE message from the encapsulation port. False: too many wait.
  [[nodiscard]] bool put_ike(const Endpoint& local, const Endpoint& remote, ByteView message);
  // The lane's burst is done: wakes the first thread if it has to do something sooner than it thinks.
  void after_burst(const engine::Lane& lane);

  // ---- by the first thread
  void take_ike(const OnIke& each);
  // With the turn, before it waits: until when, and how many events of the engine it has seen.
  void will_wait(Instant until, std::uint64_t events_seen);

 private:
  static constexpr std::size_t kMaxIkeOctets = 1U << 20U;
  struct IkeMessage {
    Endpoint local;
    Endpoint remote;
    Bytes message;
  };
  struct alignas(64) Left {
    std::atomic<std::uint64_t> ticket{0};
  };

  TurnLock turn_;
  std::array<Left, engine::Lane::kMost> left_;
  io::Waker waker_;
  std::mutex ike_mutex_;
  std::vector<IkeMessage> ike_;
  std::size_t ike_octets_ = 0;
  std::atomic<Instant::rep> waits_until_{Instant::min().time_since_epoch().count()};
  std::atomic<std::uint64_t> events_seen_{0};
};

}  // namespace cygnet::daemon
