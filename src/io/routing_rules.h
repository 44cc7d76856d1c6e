// SPDX-License-Identifier: Apache-2.0
#pragma once

// Policy rules of others (and our own MarkRule) that lead packets to some table, or past other rules.
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace cygnet::io {

struct RoutingRule {
  std::uint32_t priority = 0;
  std::uint32_t table = 0;  // 0: none, it jumps
  std::string text;         // as `ip rule` writes it: "from 10.1.0.0/24 lookup 100"
  bool operator==(const RoutingRule&) const = default;
};

// All but those that lead to the table `local`. Rules that refuse packets, and those of VRFs, are none of them.
[[nodiscard]] Result<std::vector<RoutingRule>> routing_rules(Family family);

}  // namespace cygnet::io
