// SPDX-License-Identifier: Apache-2.0
#include "engine/hold_queue.h"

#include <algorithm>

namespace cygnet::engine {

bool HoldQueue::push(model::PolicyId policy, ByteView bytes, const Offload& offload, DeviceId device, Instant now) {
  if (packets_ >= bounds_.packets || bytes.size() > bounds_.octets - octets_) return false;
  const auto it = queues_.find(policy);
  if (it != queues_.end() && it->second.size() >= bounds_.packets_per_policy) return false;
  if (bounds_.packets_per_policy == 0) return false;
  queues_[policy].push_back({Bytes(bytes.begin(), bytes.end()), offload, device, now});
  ++packets_;
  octets_ += bytes.size();
  return true;
}

std::deque<HeldPacket> HoldQueue::take(model::PolicyId policy) {
  const auto it = queues_.find(policy);
  if (it == queues_.end()) return {};
  auto taken = std::move(it->second);
  queues_.erase(it);
  for (const auto& packet : taken) forget(packet);
  return taken;
}

std::size_t HoldQueue::expire(Instant now, std::vector<model::PolicyId>& expired) {
  std::size_t lost = 0;
  for (auto it = queues_.begin(); it != queues_.end();) {
    auto& queue = it->second;
    while (!queue.empty() && queue.front().since + bounds_.timeout <= now) {
      forget(queue.front());
      queue.pop_front();
      ++lost;
    }
    if (queue.empty()) {
      expired.push_back(it->first);
      it = queues_.erase(it);
    } else {
      ++it;
    }
  }
  return lost;
}

Instant HoldQueue::next_deadline() const {
  Instant next = kNever;
  for (const auto& [policy, queue] : queues_) next = std::min(next, queue.front().since + bounds_.timeout);
  return next;
}

std::vector<model::PolicyId> HoldQueue::policies() const {
  std::vector<model::PolicyId> ids;
  ids.reserve(queues_.size());
  for (const auto& [policy, queue] : queues_) ids.push_back(policy);
  return ids;
}

}  // namespace cygnet::engine
