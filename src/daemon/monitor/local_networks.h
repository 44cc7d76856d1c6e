// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which networks this machine is attached to, and which of those stay outside of a tunnel that covers them.
//
// Attached is what an address of this machine says, with the length of its prefix. Routes without a gateway that others
// put into the main table say nothing: DHCP (RFC 3442) and router advertisements (RFC 4861, the L flag) give anybody on
// the LAN the means to make them.
#include <set>
#include <vector>

#include "base/address.h"
#include "io/rtnetlink.h"
#include "model/connection.h"

namespace cygnet::daemon {

struct AttachedNetwork {
  IpPrefix prefix;
  int device = 0;
  IpAddress neighbour;  // an address there that is not this machine's: where the kernel looks for it is asked
  auto operator<=>(const AttachedNetwork&) const = default;
};

// Addresses all over the network, its neighbour first, to find out where it is: single ones may have routes of their
// own.
[[nodiscard]] std::vector<IpAddress> samples_of(const AttachedNetwork& network);

// By what the addresses say. Whether there is a route, too, is not known here.
[[nodiscard]] std::vector<AttachedNetwork> attached_networks(const std::vector<io::InterfaceAddress>& addresses);

// RFC 1918, RFC 6598, RFC 4193, and of a link alone (RFC 3927, RFC 4291): whoever is in one of them is near, and no
// host of the Internet is.
[[nodiscard]] bool is_near(const IpPrefix& network);

// What a connection says of networks that lie inside of the tunnel's.
struct CoveredNetworks {
  std::vector<IpRange> tunnel;  // the networks of one of its ends
  std::vector<IpRange> spared;  // of the other: what is also in these stays outside in any case
  bool even_near = false;       // none stays outside; else those that are near do
  bool operator==(const CoveredNetworks&) const = default;
};
// For each end that may be the peer's: which one is ours is not known here.
[[nodiscard]] std::vector<CoveredNetworks> covered_by(const model::Connection& connection);

enum class Stays : std::uint8_t {
  kOutside,
  kOutsideOfAClients,  // near, inside of what a client's tunnel protects: said, as the LAN decides what it is
  kNotAsItIsFar,
  kNotAsConfigured,
};
// network lies inside one of `tunnelled`, what is routed into a tunnel now.
[[nodiscard]] Stays where_it_belongs(const IpPrefix& network, const std::set<IpPrefix>& tunnelled,
                                     const std::vector<CoveredNetworks>& covered);

// The connected prefixes that need a throw route: inside a wider tunnelled one, and not tunnelled themselves.
[[nodiscard]] std::set<IpPrefix> throw_prefixes(const std::set<IpPrefix>& tunnelled,
                                                const std::vector<IpPrefix>& connected);

}  // namespace cygnet::daemon
