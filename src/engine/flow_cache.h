// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the SPD and SAD said about a flow, remembered; "no policy" and "no SA" too. An entry counts while its stamp is
// the flow's current one (FlowRegions). An entry is one cache line, the two entries that a flow may stand in are
// neighbours. A new flow just takes its place, the last one there moves over: nothing is ever collected.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/huge_memory.h"
#include "engine/flow_regions.h"
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
  [[nodiscard]] bool is_v4() const { return (word[4] & 0x7fU) == 4U; }
  [[nodiscard]] std::uint64_t hash(std::uint64_t seed) const {
    std::uint64_t h = seed;
    if (is_v4()) {  // words 1 to 3 are zero
      h = mixed(h, word[0]);
      return mixed(h, word[4]);
    }
    for (const auto w : word) h = mixed(h, w);
    return h;
  }
  // Of a flow out: towards its destination.
  [[nodiscard]] std::uint64_t stamp(const FlowRegions& regions) const {
    const auto* octets = reinterpret_cast<const std::uint8_t*>(word.data());
    return is_v4() ? regions.stamp_v4(load_be32(octets + 4))
                   : regions.stamp_v6(load_be64(octets + 16), load_be64(octets + 24));
  }

 private:
  [[nodiscard]] static std::uint64_t mixed(std::uint64_t h, std::uint64_t w) {
    h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
    return h ^ (h >> 32U);
  }
};

// The answer for a flow. With policy == nullptr: no policy at all. With a PROTECT policy and sa == nullptr: no SA.
struct FlowTarget {
  Policy* policy = nullptr;
  OutboundSa* sa = nullptr;
};

// Where a flow stands in the cache, and what its answer must be stamped with. Taken before the SPD is asked, so that a
// change meanwhile makes the answer stale.
struct FlowPlace {
  std::uint32_t set = 0;
  std::uint64_t stamp = 0;
};

class FlowCache {
 public:
  // For one thread; the regions may be shared.
  FlowCache(std::size_t entries, std::uint64_t seed, const FlowRegions& regions)
      : regions_(regions),
        seed_(seed),
        count_(std::bit_ceil(entries < 2 ? 2 : entries)),
        entries_(static_cast<Entry*>(allocate_zeroed(count_ * sizeof(Entry)))) {}
  static constexpr std::size_t kMostEntries = std::size_t{1} << 20U;
  static constexpr std::size_t kEntriesOfAnSa = 8;
  FlowCache(const FlowCache&) = delete;
  FlowCache& operator=(const FlowCache&) = delete;
  ~FlowCache() { free_zeroed(entries_, count_ * sizeof(Entry)); }

  // Grows with the SAs that it serves, and not with a flood of flows. What it knew is gone each
  // time.
  void fit(std::size_t sas) {
    if (sas * kEntriesOfAnSa <= count_ || count_ >= kMostEntries) return;
    free_zeroed(entries_, count_ * sizeof(Entry));
    count_ = std::bit_ceil(std::min(sas * kEntriesOfAnSa, kMostEntries));
    entries_ = static_cast<Entry*>(allocate_zeroed(count_ * sizeof(Entry)));
  }
  [[nodiscard]] std::size_t entries() const { return count_; }

  // Also asks for the memory that find() is going to look at.
  [[nodiscard]] FlowPlace place(const FlowKey& key) const {
    const auto set = static_cast<std::uint32_t>(key.hash(seed_) & (count_ - 1) & ~std::size_t{1});
    __builtin_prefetch(&entries_[set]);
    __builtin_prefetch(&entries_[set + 1]);
    return {set, key.stamp(regions_)};
  }
  [[nodiscard]] const FlowTarget* find(const FlowKey& key, const FlowPlace& place) const {
    for (std::size_t way = 0; way < 2; ++way) {
      const auto& entry = entries_[place.set + way];
      if (entry.stamp == place.stamp && entry.key == key) return &entry.target;
    }
    return nullptr;
  }
  void insert(const FlowKey& key, const FlowPlace& place, const FlowTarget& target) {
    auto* set = entries_ + place.set;
    // The second way takes what the first one loses: two busy flows of one set keep their places.
    if (set[0].stamp != 0 && set[0].key != key) set[1] = set[0];
    set[0] = {key, target, place.stamp};
  }

 private:
  struct alignas(64) Entry {
    FlowKey key;
    FlowTarget target;
    std::uint64_t stamp;  // 0: never valid
  };
  static_assert(sizeof(Entry) == 64);

  const FlowRegions& regions_;
  std::uint64_t seed_;
  std::size_t count_;
  Entry* entries_;
};

}  // namespace cygnet::engine
