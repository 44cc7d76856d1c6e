// SPDX-License-Identifier: Apache-2.0
#pragma once

// Networks that are all addresses together: 0.0.0.0/0, and 0.0.0.0/1 beside 128.0.0.0/1 as well. Whoever holds them
// back holds back the questions, too, whose answers the tunnel waits for.
#include "model/connection.h"

namespace cygnet::model {

// Of this family, whatever their protocols and ports.
[[nodiscard]] bool take_all_addresses(const TrafficSelectors& selectors, Family family);
// Of one family at least.
[[nodiscard]] bool take_all_addresses(const TrafficSelectors& selectors);
// The same, with all protocols and ports.
[[nodiscard]] bool take_all_traffic(const TrafficSelectors& selectors);

// What children of the connection have on the peer's side, together: those that `which` says yes to.
template <typename Which>
[[nodiscard]] TrafficSelectors remote_of(const Connection& connection, Which which) {
  TrafficSelectors out;
  for (const auto& child : connection.children) {
    if (which(child)) out.insert(out.end(), child.remote.begin(), child.remote.end());
  }
  return out;
}

}  // namespace cygnet::model
