// SPDX-License-Identifier: Apache-2.0
#include "engine/flow_regions.h"

namespace cygnet::engine {
namespace {

void count_up(std::atomic<std::uint32_t>& counter) { counter.fetch_add(1, std::memory_order_release); }

}  // namespace

void FlowRegions::touch(const model::TrafficSelectors& remote) {
  if (remote.empty() || remote.size() > kMaxSelectors) {
    touch_all();
    return;
  }
  for (const auto& selector : remote) touch_range(selector.range);
  ++changes_;
}

void FlowRegions::touch_range(const IpRange& range) {
  if (range.first.is_v4()) {
    const std::uint32_t first = range.first.v4_value();
    const std::uint32_t differing = first ^ range.last.v4_value();
    if (differing == 0) {
      count_up(host_[slot(first)]);
    } else if (differing < 1U << 8U) {
      count_up(site_[slot(first >> 8U)]);
    } else if (differing < 1U << 16U) {
      count_up(region_[slot(first >> 16U)]);
    } else {
      all_.fetch_add(1, std::memory_order_release);
    }
    return;
  }
  const std::uint64_t high = load_be64(range.first.bytes().data());
  const std::uint64_t low = load_be64(range.first.bytes().data() + 8);
  const std::uint64_t differing = high ^ load_be64(range.last.bytes().data());
  if (range.first == range.last) {
    count_up(host_[slot(high ^ (low * kOdd))]);
  } else if (differing == 0) {
    count_up(site_[slot(high)]);
  } else if (differing < 1U << 16U) {
    count_up(region_[slot(high >> 16U)]);
  } else {
    all_.fetch_add(1, std::memory_order_release);
  }
}

}  // namespace cygnet::engine
