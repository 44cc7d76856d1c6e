// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/crew.h"

#include <utility>

namespace cygnet::daemon {

// A turn is a few microseconds long: sleeping and being woken takes longer than to look again some times.
void TurnLock::take() {
  constexpr int kLooks = 200;
  for (int i = 0; i < kLooks; ++i) {
    if (mutex_.try_lock()) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  mutex_.lock();
}

// No burst waits for one with a larger ticket, so this ends.
void Crew::wait_for_others(const engine::Lane& lane) {
  for (std::size_t i = 0; i < lane.after.size(); ++i) {
    auto& left = left_[i].ticket;
    for (auto seen = left.load(std::memory_order_acquire); seen < lane.after[i];
         seen = left.load(std::memory_order_acquire)) {
      left.wait(seen, std::memory_order_acquire);
    }
  }
}

void Crew::has_left(const engine::Lane& lane) {
  auto& left = left_[lane.number].ticket;
  left.store(lane.ticket, std::memory_order_release);
  left.notify_all();
}

bool Crew::put_ike(const Endpoint& local, const Endpoint& remote, ByteView message) {
  {
    const std::lock_guard hold(ike_mutex_);
    if (ike_octets_ + message.size() > kMaxIkeOctets) return false;
    ike_octets_ += message.size();
    ike_.push_back({local, remote, {message.begin(), message.end()}});
  }
  waker_.wake();
  return true;
}

void Crew::after_burst(const engine::Lane& lane) {
  const bool sooner = lane.deadline.time_since_epoch().count() < waits_until_.load(std::memory_order_relaxed);
  if (!sooner && lane.events_raised <= events_seen_.load(std::memory_order_relaxed)) return;
  // Once is enough until it has looked.
  waits_until_.store(Instant::min().time_since_epoch().count(), std::memory_order_relaxed);
  events_seen_.store(lane.events_raised, std::memory_order_relaxed);
  waker_.wake();
}

void Crew::take_ike(const OnIke& each) {
  waker_.clear();
  std::vector<IkeMessage> taken;
  {
    const std::lock_guard hold(ike_mutex_);
    taken = std::exchange(ike_, {});
    ike_octets_ = 0;
  }
  for (const auto& one : taken) each(one.local, one.remote, one.message);
}

void Crew::will_wait(Instant until, std::uint64_t events_seen) {
  waits_until_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
  events_seen_.store(events_seen, std::memory_order_relaxed);
}

}  // namespace cygnet::daemon
