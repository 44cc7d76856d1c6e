// SPDX-License-Identifier: Apache-2.0
#pragma once

// A NAT with several hosts behind one address: a port for each of their endpoints, until it forgets.
#include <cstdint>
#include <map>
#include <set>

#include "ike/actions.h"

namespace cygnet::sim {

class NatBox {
 public:
  explicit NatBox(const IpAddress& outside) : outside_(outside) {}
  void add_inside(const IpAddress& address) { inside_.insert(address); }
  [[nodiscard]] bool is_inside(const IpAddress& address) const { return inside_.contains(address); }
  // The table is lost: the next datagram from inside gets another port.
  void rebind() { by_inner_.clear(), by_outer_.clear(); }
  // From the sender's view of a path to the receiver's. False: the datagram ends at the NAT.
  [[nodiscard]] bool translate(ike::Path& as_received);

 private:
  IpAddress outside_;
  std::set<IpAddress> inside_;
  std::map<Endpoint, std::uint16_t> by_inner_;
  std::map<std::uint16_t, Endpoint> by_outer_;
  std::uint16_t next_port_ = 20000;
};

}  // namespace cygnet::sim
