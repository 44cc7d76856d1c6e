// SPDX-License-Identifier: Apache-2.0
#include "sim/nat_box.h"

namespace cygnet::sim {

bool NatBox::translate(ike::Path& as_received) {
  auto& source = as_received.remote;
  auto& destination = as_received.local;
  if (inside_.contains(source.address)) {
    const auto [known, fresh] = by_inner_.try_emplace(source, next_port_);
    if (fresh) by_outer_.emplace(next_port_++, source);
    source = {outside_, known->second};
  }
  if (destination.address == outside_) {
    const auto inner = by_outer_.find(destination.port);
    if (inner == by_outer_.end()) return false;  // nobody is behind this port
    destination = inner->second;
  }
  return true;
}

}  // namespace cygnet::sim
