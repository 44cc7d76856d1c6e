// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/local_networks.h"

#include <algorithm>
#include <array>
#include <functional>

namespace cygnet::daemon {

namespace {

// Whether a wider prefix of the set that is as wanted contains this one: a look for each shorter length, however large
// the set.
bool lies_inside(const std::set<IpPrefix>& set, IpPrefix prefix,
                 const std::function<bool(const IpPrefix&)>& as_wanted) {
  while (prefix.length > 0) {
    --prefix.length;
    const IpPrefix wider{prefix.network(), prefix.length};
    if (set.contains(wider) && as_wanted(wider)) return true;
  }
  return false;
}

IpAddress neighbour_of(const IpPrefix& own, const std::set<IpAddress>& owns) {
  const bool has_ends = own.address.is_v4() && own.length < 31;  // RFC 3021: two addresses, both of hosts
  const auto is_end = [&](const IpAddress& ip) { return has_ends && (ip == own.network() || ip == own.broadcast()); };
  for (const auto step : {&IpAddress::next, &IpAddress::previous}) {
    for (auto ip = (own.address.*step)(); ip && own.contains(*ip) && !is_end(*ip); ip = ((*ip).*step)()) {
      if (!owns.contains(*ip)) return *ip;
    }
  }
  return own.network();
}

bool any_contains(const std::vector<IpRange>& ranges, const IpPrefix& prefix) {
  return std::ranges::any_of(ranges, [&](const IpRange& range) { return range.contains(IpRange::of(prefix)); });
}

}  // namespace

std::vector<AttachedNetwork> attached_networks(const std::vector<io::InterfaceAddress>& addresses) {
  std::set<IpAddress> owns;
  for (const auto& one : addresses) owns.insert(one.prefix.address);
  std::set<AttachedNetwork> out;
  for (const auto& one : addresses) {
    const IpPrefix prefix{one.peer.value_or(one.prefix.address), one.prefix.length};
    // Its own address alone is no network, and is found before any table of ours is looked at.
    if ((prefix.length == prefix.address.bits() && !one.peer) || prefix.address.is_loopback()) continue;
    out.insert({{prefix.network(), prefix.length}, one.index, one.peer.value_or(neighbour_of(prefix, owns))});
  }
  return {out.begin(), out.end()};
}

std::vector<IpAddress> samples_of(const AttachedNetwork& network) {
  constexpr unsigned kParts = 16;
  constexpr unsigned kPartBits = 4;
  std::vector<IpAddress> out{network.neighbour};
  const auto start = network.prefix.network();
  const unsigned bits = start.bits() - network.prefix.length;
  // In the middle of each part, or each address.
  const unsigned parts = bits < kPartBits ? 1U << bits : kParts;
  const unsigned shift = bits < kPartBits ? 0 : bits - kPartBits;
  const auto set = [](Bytes& bytes, unsigned at) {
    bytes[bytes.size() - 1 - at / 8] |= static_cast<std::uint8_t>(1U << at % 8);
  };
  for (unsigned part = 0; part < parts; ++part) {
    Bytes bytes(start.bytes().begin(), start.bytes().end());
    for (unsigned bit = 0; bit < kPartBits; ++bit) {
      if ((part >> bit & 1U) != 0) set(bytes, shift + bit);
    }
    if (shift > 0) set(bytes, shift - 1);
    const auto sample = IpAddress::from_bytes(bytes);
    if (sample != network.neighbour) out.push_back(sample);
  }
  return out;
}

bool is_near(const IpPrefix& network) {
  static const auto kNear = [] {
    std::vector<IpRange> out;
    for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
                             "fc00::/7", "fe80::/10"}) {
      out.push_back(IpRange::of(*IpPrefix::parse(text)));
    }
    return out;
  }();
  return any_contains(kNear, network);
}

std::vector<CoveredNetworks> covered_by(const model::Connection& connection) {
  std::vector<CoveredNetworks> out;
  const bool none = !connection.local_networks;
  const auto networks = [&](bool of_left) {
    std::vector<IpRange> ranges;
    for (const auto& child : connection.children) {
      for (const auto& selector : of_left ? child.local : child.remote) ranges.push_back(selector.range);
    }
    return ranges;
  };
  for (const bool ours_is_left : {true, false}) {
    const auto& ours = ours_is_left ? connection.local : connection.remote;
    if (none || ours.requests_address()) {
      out.push_back({.tunnel = networks(!ours_is_left), .spared = networks(ours_is_left), .even_near = none});
    }
  }
  return out;
}

Stays where_it_belongs(const IpPrefix& network, const std::set<IpPrefix>& tunnelled,
                       const std::vector<CoveredNetworks>& covered) {
  auto out = Stays::kOutside;
  for (const auto& each : covered) {
    if (!any_contains(each.tunnel, network) || any_contains(each.spared, network)) continue;
    const auto its_own = [&](const IpPrefix& wider) { return any_contains(each.tunnel, wider); };
    if (!lies_inside(tunnelled, network, its_own)) continue;
    if (each.even_near) return Stays::kNotAsConfigured;
    out = std::max(out, is_near(network) ? Stays::kOutsideOfAClients : Stays::kNotAsItIsFar);
  }
  return out;
}

std::set<IpPrefix> throw_prefixes(const std::set<IpPrefix>& tunnelled, const std::vector<IpPrefix>& connected) {
  std::set<IpPrefix> out;
  for (const auto& c : connected) {
    const IpPrefix network{c.network(), c.length};
    if (!tunnelled.contains(network) && lies_inside(tunnelled, network, [](const IpPrefix&) { return true; })) {
      out.insert(network);
    }
  }
  return out;
}

}  // namespace cygnet::daemon
