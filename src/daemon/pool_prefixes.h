// SPDX-License-Identifier: Apache-2.0
#pragma once

// What ike asks the monitor to refuse of the addresses of a pool while nobody has them, and what that may ask.
#include <vector>

#include "model/address_pool.h"

namespace cygnet::daemon {

// The network as it was written, with the addresses that are never given away; else the fewest prefixes of the range.
[[nodiscard]] std::vector<IpPrefix> pool_prefixes(const model::AddressPool& pool);

}  // namespace cygnet::daemon
