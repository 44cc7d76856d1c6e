// SPDX-License-Identifier: Apache-2.0
#include "model/connection.h"

#include <algorithm>

namespace cygnet::model {

std::string HostSpec::to_string() const {
  switch (kind) {
    case Kind::kAddress: return address.to_string();
    case Kind::kAny: return "%any";
    case Kind::kName: return name;
    case Kind::kDefaultRoute: return "%defaultroute";
  }
  return "%any";
}

namespace {

// An end without an address is ours if it is said to be: %defaultroute always means this machine.
bool is_ours(const HostSpec& host, const std::vector<IpAddress>& own) {
  if (host.kind == HostSpec::Kind::kDefaultRoute) return true;
  return host.has_address() && std::find(own.begin(), own.end(), host.address) != own.end();
}

void swap_ends(Connection& connection) {
  std::swap(connection.local, connection.remote);
  for (auto& child : connection.children) std::swap(child.local, child.remote);
}

}  // namespace

const Child* Connection::find_child(std::string_view child) const {
  const auto it = std::ranges::find(children, child, &Child::name);
  return it == children.end() ? nullptr : &*it;
}

Result<void> orient(Connection& connection, const std::vector<IpAddress>& own_addresses) {
  const bool left_ours = is_ours(connection.local.host, own_addresses);
  const bool right_ours = is_ours(connection.remote.host, own_addresses);
  if (left_ours && right_ours) {
    return fail("connection '" + connection.name + "': both left=" + connection.local.host.to_string() + " and right=" +
                connection.remote.host.to_string() + " are addresses of this machine; one of them must be the peer");
  }
  if (left_ours) return {};
  if (right_ours) {
    swap_ends(connection);
    return {};
  }
  // left=%any with a known peer: any address of ours will do, the route to the peer decides which.
  if (connection.local.host.kind == HostSpec::Kind::kAny) return {};
  return fail("connection '" + connection.name + "': neither left=" + connection.local.host.to_string() +
              " nor right=" + connection.remote.host.to_string() +
              " is an address of this machine; `ip address` lists what it has");
}

}  // namespace cygnet::model
