// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/pool_routes.h"

namespace cygnet::daemon {

std::vector<PoolRoutes::Way> pool_ways(const std::set<IpPrefix>& pools, const std::set<IpPrefix>& routed) {
  std::vector<PoolRoutes::Way> out;
  for (const auto& pool : pools) {
    auto& way = out.emplace_back(pool, std::nullopt);
    // The default route is no answer.
    for (IpPrefix wider = pool; wider.length > 0; --wider.length) {
      wider.address = wider.network();
      if (!routed.contains(wider)) continue;
      way.left_to = wider;
      break;
    }
  }
  return out;
}

std::set<IpPrefix> routed_inside(const std::vector<PoolRoutes::Way>& ways, const std::set<IpPrefix>& routed) {
  std::set<IpPrefix> out;
  for (const auto& way : ways) {
    if (way.left_to) continue;
    auto it = routed.lower_bound({way.pool.address, 0});
    for (; it != routed.end() && way.pool.contains(it->address); ++it) {
      if (it->length > way.pool.length) out.insert(*it);
    }
  }
  return out;
}

}  // namespace cygnet::daemon
