// SPDX-License-Identifier: Apache-2.0
#include "support/nat.h"

namespace cygnet::test {

std::uint16_t Nat::outer_port(std::uint16_t inner) {
  for (const auto& [in, out] : ports) {
    if (in == inner) return out;
  }
  ports.emplace_back(inner, next_port);
  return next_port++;
}

std::optional<std::uint16_t> Nat::inner_port(std::uint16_t outer) const {
  for (const auto& [in, out] : ports) {
    if (out == outer) return in;
  }
  return std::nullopt;
}

bool Nat::translate(ike::Path& as_received) {
  auto& source = as_received.remote;
  auto& destination = as_received.local;
  if (source.address == inside) source = {outside, outer_port(source.port)};
  if (destination.address == outside) {
    const auto inner = inner_port(destination.port);
    if (!inner) return false;  // nobody is behind this port
    destination = {inside, *inner};
  }
  return true;
}

}  // namespace cygnet::test
