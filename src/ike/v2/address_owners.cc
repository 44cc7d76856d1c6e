// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/address_owners.h"

#include <algorithm>

namespace cygnet::ike::v2 {
namespace {

constexpr std::uint8_t kUdp = 17;
constexpr std::uint16_t kDnsPort = 53;

bool is_at(const model::HostSpec& host, const IpAddress& address) {
  return host.has_address() && host.address == address;
}

bool is_peer(const model::Connection& connection, const IpAddress& address) {
  const auto there = [&](const model::HostSpec& host) { return is_at(host, address); };
  return there(connection.remote.host) || std::ranges::any_of(connection.remote.alternatives, there);
}

// Both are ways to one gateway: whatever one of them may do, the other may.
bool same_peer(const model::Connection& a, const model::Connection& b) {
  return a.remote.host.has_address() && is_at(b.remote.host, a.remote.host.address) && a.remote.id == b.remote.id;
}

bool has_as_narrow(const model::Connection& connection, const IpRange& network, const IpAddress& address) {
  return std::ranges::any_of(connection.children, [&](const model::Child& child) {
    return std::ranges::any_of(
        child.remote, [&](const auto& mine) { return mine.range.contains(address) && network.contains(mine.range); });
  });
}

// A network behind that connection's peer with the address in it. All addresses are nobody's in particular, and what
// lies in a network of our own connection that is as narrow comes to our peer anyway.
std::optional<IpRange> network_around(const model::Connection& connection, const model::Connection& ours,
                                      const IpAddress& address) {
  for (const auto& child : connection.children) {
    for (const auto& theirs : child.remote) {
      const auto& network = theirs.range;
      if (!network.contains(address) || network == IpRange::all(network.first.family())) continue;
      if (!has_as_narrow(ours, network, address)) return network;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string other_owner(const World& world, const IkeSa& sa, const IpAddress& assigned) {
  const auto& ours = *sa.connection;
  const auto says = [&](const model::Connection& other) -> std::string {
    if (other.name == ours.name) return {};
    if (is_peer(other, assigned)) return "the peer of connection " + other.name + " has it";
    const auto in_pool = [&](const model::AddressPool& pool) { return pool.range.contains(assigned); };
    if (std::ranges::any_of(other.remote.pools, in_pool))
      return "connection " + other.name + " has it in its pool for its own peers";
    if (same_peer(other, ours)) return {};
    const auto network = network_around(other, ours, assigned);
    if (!network) return {};
    return "it is in " + network->to_string() + ", which is behind the peer of connection " + other.name;
  };
  for (const auto* list : {&world.connections, &world.waiting}) {
    for (const auto& other : *list) {
      if (auto said = says(*other); !said.empty()) return said;
    }
  }
  return {};
}

bool is_asked_through_tunnel(const IkeSa& sa, const wire::ike::Payloads& answer, const IpAddress& server) {
  const auto inside = [&](const model::TrafficSelectors& selectors) {
    return std::ranges::any_of(selectors, [&](const auto& s) { return s.contains(server, kUdp, kDnsPort); });
  };
  // The responder may have narrowed what is tunnelled here; what other children are for is written.
  const auto* tsr = wire::ike::find_ts(answer, false);
  if (tsr != nullptr && inside(tsr->selectors)) return true;
  const auto& children = sa.connection->children;
  return children.size() > 1 &&
         std::ranges::any_of(children, [&](const model::Child& child) { return inside(child.remote); });
}

}  // namespace cygnet::ike::v2
