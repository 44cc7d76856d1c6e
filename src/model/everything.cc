// SPDX-License-Identifier: Apache-2.0
#include "model/everything.h"

#include <algorithm>

namespace cygnet::model {

namespace {

constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

}  // namespace

bool take_all_addresses(const TrafficSelectors& selectors, Family family) {
  TrafficSelectors ranges;
  for (const auto& selector : selectors) ranges.push_back(TrafficSelector::of(selector.range));
  return covers(ranges, {TrafficSelector::of(IpRange::all(family))});
}

bool take_all_addresses(const TrafficSelectors& selectors) {
  return std::ranges::any_of(kFamilies, [&](Family family) { return take_all_addresses(selectors, family); });
}

bool take_all_traffic(const TrafficSelectors& selectors) {
  return std::ranges::any_of(
      kFamilies, [&](Family family) { return covers(selectors, {TrafficSelector::of(IpRange::all(family))}); });
}

}  // namespace cygnet::model
