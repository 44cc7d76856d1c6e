// SPDX-License-Identifier: Apache-2.0
#pragma once

// A NAT as a table: one inner address, one outer one, ports that a rebinding changes.
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ike/actions.h"

namespace cygnet::test {

struct Nat {
  IpAddress inside;
  IpAddress outside;
  std::uint16_t next_port = 20000;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports;  // inner, outer

  // Makes a mapping if there is none.
  [[nodiscard]] std::uint16_t outer_port(std::uint16_t inner);
  [[nodiscard]] std::optional<std::uint16_t> inner_port(std::uint16_t outer) const;
  // The table is lost: the next datagram from inside gets another port.
  void rebind() { ports.clear(); }
  // From the sender's view of a path to the receiver's. False: the datagram ends at the NAT.
  [[nodiscard]] bool translate(ike::Path& as_received);
};

}  // namespace cygnet::test
