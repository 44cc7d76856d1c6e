// SPDX-License-Identifier: Apache-2.0
#include "daemon/pool_prefixes.h"

namespace cygnet::daemon {

std::vector<IpPrefix> pool_prefixes(const model::AddressPool& pool) {
  const auto written = IpPrefix::parse(pool.text);
  if (written && model::usable_range(*written) == pool.range) return {{written->network(), written->length}};
  return pool.range.to_prefixes();
}

}  // namespace cygnet::daemon
