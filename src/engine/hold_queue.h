// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets that wait for their policy's SA. Bounded by packets a policy, packets and octets in all, and time.
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "engine/packet.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

struct HeldPacket {
  Bytes bytes;
  Offload offload;
  DeviceId device = 0;
  Instant since{};
};

class HoldQueue {
 public:
  struct Bounds {
    std::size_t packets_per_policy;
    std::size_t packets;
    std::size_t octets;
    Duration timeout;
  };
  explicit HoldQueue(Bounds bounds) : bounds_(bounds) {}

  // False: full.
  [[nodiscard]] bool push(model::PolicyId policy, ByteView bytes, const Offload& offload, DeviceId device, Instant now);
  // Takes everything the policy holds, oldest first.
  [[nodiscard]] std::deque<HeldPacket> take(model::PolicyId policy);
  // Forgets what waited too long; the number of packets. expired gets every policy that lost its last packet so.
  std::size_t expire(Instant now, std::vector<model::PolicyId>& expired);
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] std::vector<model::PolicyId> policies() const;
  [[nodiscard]] bool empty() const { return packets_ == 0; }
  [[nodiscard]] std::size_t size() const { return packets_; }

 private:
  void forget(const HeldPacket& packet) {
    --packets_;
    octets_ -= packet.bytes.size();
  }

  Bounds bounds_;
  std::map<model::PolicyId, std::deque<HeldPacket>> queues_;  // no empty ones
  std::size_t packets_ = 0;
  std::size_t octets_ = 0;
};

}  // namespace cygnet::engine
