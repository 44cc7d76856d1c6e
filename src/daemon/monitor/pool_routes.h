// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses that peers get from us (rightaddresspool=) lead nowhere while nobody has them: by the default route their
// packets would leave this machine, and come back, or be seen by whoever is on the way. They are refused instead, by an
// `unreachable` route of our own table that the narrower route of each tunnel precedes. What the administrator routes
// is left alone: a pool inside any other route than the default one (a LAN with proxyarp=yes), and what of a pool is
// routed elsewhere.
#include <set>
#include <vector>

#include "daemon/role_messages.h"

namespace cygnet::daemon {

// Routes of tunnels have none, which comes first: a pool of one address is the same destination.
inline constexpr std::uint32_t kRefusalMetric = 1U << 24U;
// Of the route that stands behind that of each tunnel. The kernel's own last route of IPv6 has one more.
inline constexpr std::uint32_t kHoldingMetric = 0xfffffffe;

// routed: destinations in the main table.
[[nodiscard]] std::vector<PoolRoutes::Way> pool_ways(const std::set<IpPrefix>& pools, const std::set<IpPrefix>& routed);
// What of the refused pools the administrator routes: `throw` routes leave that to the main table.
[[nodiscard]] std::set<IpPrefix> routed_inside(const std::vector<PoolRoutes::Way>& ways,
                                               const std::set<IpPrefix>& routed);

}  // namespace cygnet::daemon
