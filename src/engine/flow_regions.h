// SPDX-License-Identifier: Apache-2.0
#pragma once

// What tells the flow cache that an answer may be out of date, without forgetting all of them at each change. A change
// of a policy or SA concerns flows whose remote address lies in its remote selectors; addresses fall into counters by
// host, by site (/24, /64) and by region (/16, /48), and a change counts up the narrowest one that takes in its
// selectors. A flow's stamp is the sum of its counters: it differs as soon as one of them has moved. Tunnels set up and
// taken down by the thousand a second thus leave the flows of the others alone.
//
// One thread counts up, after the change and before what was unlinked is freed; any number reads.
#include <array>
#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "engine/selectors.h"
#include "model/traffic_selector.h"

namespace cygnet::engine {

class FlowRegions {
 public:
  // A flow to this IPv4 address (host byte order), or to this IPv6 address as two big-endian words.
  [[nodiscard]] std::uint64_t stamp_v4(std::uint32_t remote) const {
    return sum(slot(remote), slot(remote >> 8U), slot(remote >> 16U));
  }
  [[nodiscard]] std::uint64_t stamp_v6(std::uint64_t high, std::uint64_t low) const {
    return sum(slot(high ^ (low * kOdd)), slot(high), slot(high >> 16U));
  }
  // All flows that a policy or SA with these remote selectors may concern; empty selectors concern all.
  void touch(const model::TrafficSelectors& remote);
  void touch_all() {
    all_.fetch_add(1, std::memory_order_release);
    ++changes_;
  }
  // How often anything changed; for the writer.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

 private:
  static constexpr unsigned kSlotBits = 11;
  static constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;
  static constexpr std::size_t kMaxSelectors = 16;  // with more, all flows are concerned
  using Counters = std::array<std::atomic<std::uint32_t>, std::size_t{1} << kSlotBits>;

  [[nodiscard]] static std::size_t slot(std::uint64_t prefix) { return (prefix * kOdd) >> (64U - kSlotBits); }
  [[nodiscard]] std::uint64_t sum(std::size_t host, std::size_t site, std::size_t region) const {
    return all_.load(std::memory_order_acquire) + host_[host].load(std::memory_order_acquire) +
           site_[site].load(std::memory_order_acquire) + region_[region].load(std::memory_order_acquire);
  }
  void touch_range(const IpRange& range);

  std::atomic<std::uint64_t> all_{1};  // no stamp is 0
  Counters host_{}, site_{}, region_{};
  std::uint64_t changes_ = 0;
};

}  // namespace cygnet::engine
