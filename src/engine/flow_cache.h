// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the SPD and SAD said about a flow, remembered. An entry counts only while its generation is the current one:
// every change of a policy or SA makes all entries stale at once.
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "engine/packet.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

struct Policy;
struct OutboundSa;

// Addresses, protocol, ports and device of a packet in five words.
struct FlowKey {
  std::array<std::uint64_t, 5> word{};

  [[nodiscard]] static FlowKey of(ByteView packet, const wire::IpPacketInfo& info, DeviceId device) {
    FlowKey key;
    if (info.is_v4()) {
      std::memcpy(key.word.data(), packet.data() + 12, 8);
    } else {
      std::memcpy(key.word.data(), packet.data() + 8, 32);
    }
    key.word[4] = (std::uint64_t{info.source_port} << 48U) | (std::uint64_t{info.destination_port} << 32U) |
                  (std::uint64_t{device} << 16U) | (std::uint64_t{info.protocol} << 8U) | (info.is_v4() ? 4U : 6U) |
                  (info.has_ports ? 0x80U : 0U);
    return key;
  }
  bool operator==(const FlowKey&) const = default;
  [[nodiscard]] std::uint64_t hash(std::uint64_t seed) const {
    std::uint64_t h = seed;
    for (const auto w : word) {
      h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
      h ^= h >> 32U;
    }
    return h;
  }
};

// The answer for a flow. With policy == nullptr: no policy at all. With a PROTECT policy and sa == nullptr: no SA.
struct FlowTarget {
  Policy* policy = nullptr;
  OutboundSa* sa = nullptr;
};

class FlowCache {
 public:
  FlowCache(std::size_t entries, std::uint64_t seed)
      : seed_(seed), entries_(std::bit_ceil(entries < 2 ? 2 : entries)) {}

  [[nodiscard]] const FlowTarget* find(const FlowKey& key, std::uint64_t generation) const {
    const auto set = set_of(key);
    for (std::size_t way = 0; way < 2; ++way) {
      const auto& entry = entries_[set + way];
      if (entry.generation == generation && entry.key == key) return &entry.target;
    }
    return nullptr;
  }
  void insert(const FlowKey& key, const FlowTarget& target, std::uint64_t generation) {
    const auto set = set_of(key);
    // The second way takes what the first one loses: two busy flows of one set keep their places.
    if (entries_[set].generation == generation) entries_[set + 1] = entries_[set];
    entries_[set] = {key, target, generation};
  }

 private:
  struct Entry {
    FlowKey key;
    FlowTarget target;
    std::uint64_t generation = 0;  // 0: never valid
  };
  [[nodiscard]] std::size_t set_of(const FlowKey& key) const {
    return key.hash(seed_) & (entries_.size() - 1) & ~std::size_t{1};
  }

  std::uint64_t seed_;
  std::vector<Entry> entries_;
};

}  // namespace cygnet::engine
