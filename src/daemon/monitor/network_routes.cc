// SPDX-License-Identifier: Apache-2.0
// The routes of our own table: of each tunnelled prefix the one into its device and the one that holds, and `throw` for
// networks that stay outside.
#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kOurRouteProtocol = 89;  // see io/rtnetlink.cc
constexpr std::uint32_t kMainTable = 254;

bool is_holding(const io::Route& route) {
  return route.kind == io::Route::Kind::kUnreachable && route.metric == kHoldingMetric;
}

}  // namespace

io::Route Network::holding(const IpPrefix& prefix) const {
  return {.kind = io::Route::Kind::kUnreachable,
          .destination = prefix,
          .table = setup_.route_table,
          .metric = kHoldingMetric};
}

io::Route Network::special(const IpPrefix& destination, io::Route::Kind kind) const {
  return {.kind = kind,
          .destination = destination,
          .table = setup_.route_table,
          .metric = kind == io::Route::Kind::kUnreachable ? kRefusalMetric : 0};
}

std::vector<std::pair<std::size_t, Error>> Network::set_routes(const std::vector<io::Route>& routes) {
  std::vector<io::Route> all;
  std::vector<std::size_t> places;  // of those of `all` in `routes`
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].kind == io::Route::Kind::kUnicast) {
      all.push_back(holding(routes[i].destination));
      places.push_back(routes.size());
    }
    all.push_back(routes[i]);
    places.push_back(i);
  }
  auto failed = put(all);
  std::erase_if(failed, [&](auto& one) {
    one.first = places[one.first];
    return one.first == routes.size();
  });
  return failed;
}

// The kernel takes no source that is not an address of this machine. Without one the route still keeps packets from
// leaving in the clear. What it does not take all the same is noted.
std::vector<std::pair<std::size_t, Error>> Network::put(const std::vector<io::Route>& routes) {
  std::set<int> v6;
  for (const auto& route : routes) {
    if (route.device != 0 && !route.destination.address.is_v4() && v6.insert(route.device).second)
      want_ipv6(route.device);
  }
  auto failed = netlink_[0].add_routes(routes);
  std::erase_if(failed, [&](const auto& one) {
    auto route = routes[one.first];
    if (!route.source) return false;
    route.source.reset();
    if (!netlink_[0].add_route(route)) return false;
    refuse({"the route " + route.destination.to_string() + " is there without its source " +
            routes[one.first].source->to_string() + ", which is no address of this machine"});
    return true;
  });
  for (const auto& [place, error] : failed) note_unmet(routes[place], error);
  std::erase_if(failed, [&](const auto& one) {
    const auto& route = routes[one.first];
    return !route.destination.address.is_v4() && is_without_ipv6(route.device);
  });
  return failed;
}

// ---- networks this machine is attached to

void Network::set_bounds(NetworkBounds bounds) {
  const bool other = bounds.covered != bounds_.covered;
  bounds_ = std::move(bounds);
  if (other && opened_) set_special_routes();
}

void Network::on_routes_changed() {
  main_table_.reset();
  links_unsure_ = true;
  set_special_routes();
}

void Network::on_network_changed() {
  main_table_.reset();
  links_unsure_ = true;
  auto addresses = netlink_[0].addresses();
  if (!addresses) {
    log_.warning("network", addresses.error().message);
    return;
  }
  std::erase_if(*addresses, [&](const io::InterfaceAddress& one) { return is_ours(one.index); });
  own_addresses_.clear();
  for (const auto& one : *addresses) own_addresses_.insert(one.prefix.address);
  attached_ = attached_networks(*addresses);
  proxies_->on_networks(attached_);
  set_special_routes();
}

// A router has hundreds of thousands of routes: they are only looked through where somebody wants to know.
const Network::MainTable& Network::main_table() {
  if (main_table_) return *main_table_;
  main_table_.emplace();
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto routes = netlink_[0].routes(family, kMainTable);
    for (const auto& route : routes ? *routes : std::vector<io::Route>{}) {
      if (route.gateway) main_table_->gateways.insert(*route.gateway);
      if (route.destination.length != 0)
        main_table_->routed.insert({route.destination.network(), route.destination.length});
    }
  }
  return *main_table_;
}

bool Network::is_own_or_gateway(const IpAddress& ip) {
  return own_addresses_.contains(ip) || main_table().gateways.contains(ip);
}

// Only then can a route of ours call for a throw route, or make one superfluous.
bool Network::meets_special(const IpPrefix& tunnelled) const {
  if (thrown_.contains(tunnelled) || (!pools_.empty() && main_table_ && main_table_->routed.contains(tunnelled)))
    return true;
  return std::ranges::any_of(attached_, [&](const AttachedNetwork& one) {
    return one.prefix.length >= tunnelled.length && tunnelled.contains(one.prefix.address);
  });
}

// An address may have no route of its network (its device is down, or whoever set it wants none): what our table would
// leave to the main one would then take the default route.
bool Network::is_on_its_link(const AttachedNetwork& network) {
  if (network.neighbour.is_link_local()) return true;
  return std::ranges::any_of(samples_of(network), [&](const IpAddress& sample) {
    const auto route = netlink_[0].entry_for(sample, setup_.fwmark);
    return route && !route->gateway && !route->indirect && route->device == network.device &&
           route->destination.length > 0 && route->destination.length <= network.prefix.length;
  });
}

// Those inside of tunnelled ones that stay outside.
std::set<IpPrefix> Network::local_networks() {
  std::vector<IpPrefix> connected;
  for (const auto& one : attached_) connected.push_back(one.prefix);
  auto inside = throw_prefixes(tunnelled_, connected);
  std::erase_if(told_, [&](const auto& one) { return !inside.contains(one.first); });
  std::erase_if(inside, [&](const IpPrefix& network) {
    const auto on_link = [&](const AttachedNetwork& one) { return one.prefix == network && is_on_its_link(one); };
    if (std::ranges::none_of(attached_, on_link)) return true;
    const auto where = where_it_belongs(network, tunnelled_, bounds_.covered);
    tell_of(network, where);
    return where >= Stays::kNotAsItIsFar;
  });
  return inside;
}

void Network::tell_of(const IpPrefix& network, Stays where) {
  if (std::exchange(told_[network], where) == where) return;
  std::string name = network.to_string();
  const auto links = netlink_[0].links();
  const auto attached = std::ranges::find(attached_, network, &AttachedNetwork::prefix);
  for (const auto& link : links ? *links : std::vector<io::Link>{}) {
    if (attached != attached_.end() && link.index == attached->device) name += " (" + link.name + ')';
  }
  switch (where) {
    case Stays::kOutside: return;
    case Stays::kOutsideOfAClients:
      log_.notice("network", name +
                                 " is a private network that this machine is attached to: it stays outside of the "
                                 "tunnel that covers it, in the clear (local-networks=no takes it in)");
      return;
    case Stays::kNotAsItIsFar:
      log_.warning("network", name +
                                  " is attached to this machine and is no private network: with "
                                  "leftsourceip=%config it does not stay outside of the tunnel that covers it, and "
                                  "its hosts are reached through the tunnel or not at all");
      return;
    case Stays::kNotAsConfigured:
      log_.notice("network", name +
                                 " is attached to this machine: with local-networks=no its hosts are reached through "
                                 "the tunnel that covers it or not at all");
      return;
  }
}

// Routes of ours that lead into no device: local networks inside of tunnelled ones, and pools.
void Network::set_special_routes() {
  static const std::set<IpPrefix> kNone;
  const auto& routed = pools_.empty() ? kNone : main_table().routed;
  pool_ways_ = daemon::pool_ways(pools_, routed);
  auto thrown = local_networks();
  for (const auto& prefix : routed_inside(pool_ways_, routed)) {
    const bool protects = tunnelled_.contains(prefix) || !throw_prefixes(tunnelled_, {prefix}).empty();
    if (!protects) thrown.insert(prefix);
  }
  std::set<IpPrefix> refused;
  for (const auto& way : pool_ways_) {
    if (!way.left_to) refused.insert(way.pool);
  }
  replace_routes(thrown_, std::move(thrown), io::Route::Kind::kThrow);
  replace_routes(refused_, std::move(refused), io::Route::Kind::kUnreachable);
}

// What the kernel refuses counts as there, and is missing for repair().
void Network::replace_routes(std::set<IpPrefix>& there, std::set<IpPrefix> wanted, io::Route::Kind kind) {
  for (const auto& prefix : std::set(there)) {
    if (wanted.contains(prefix)) continue;
    const auto route = special(prefix, kind);
    if (auto removed = netlink_[0].remove_route(route); !removed) {
      note_unmet(route, removed.error());
      continue;
    }
    there.erase(prefix);
    update_way(prefix);
  }
  std::vector<io::Route> fresh;
  for (const auto& prefix : wanted) {
    if (!there.insert(prefix).second) continue;
    fresh.push_back(special(prefix, kind));
    update_way(prefix);
  }
  (void)set_routes(fresh);
}

// ---- what others left or took away

// After a kill the kernel still has what the last monitor set. It stays until a new ike has said what it needs.
void Network::take_over_routes() {
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto routes = netlink_[0].routes(family, setup_.route_table);
    for (const auto& route : routes ? *routes : std::vector<io::Route>{}) {
      const bool ours = is_ours(route.device);
      if (route.protocol != kOurRouteProtocol) continue;
      if (route.kind == io::Route::Kind::kThrow) {
        thrown_.insert(route.destination);
      } else if (is_holding(route) && held_.size() < kMost) {
        held_.insert(route.destination);
      } else if (route.kind == io::Route::Kind::kUnreachable && placed_.size() < kMost) {
        refused_.insert(route.destination);
        remember({.route = special(route.destination, route.kind), .what = Placed::What::kPool});
      } else if (ours && placed_.size() < kMost) {
        remember({.route = route});
      } else {
        (void)netlink_[0].remove_route(route);
      }
      update_way(route.destination);
    }
  }
  const auto addresses = netlink_[0].addresses();
  for (const auto& one : addresses ? *addresses : std::vector<io::InterfaceAddress>{}) {
    const bool ours = is_ours(one.index);
    if (!ours || one.prefix.address.is_link_local() || placed_.size() >= kMost) continue;
    if (const auto* interface = foreign(one.index);
        interface != nullptr && !guests_.contains({interface->is.name, one.prefix.address}))
      continue;
    remember(
        {.route = {.destination = IpPrefix::host(one.prefix.address), .table = setup_.route_table, .device = one.index},
         .what = Placed::What::kAddress});
  }
}

// Of those in our table: what others put there is theirs.
bool Network::is_wanted(const io::Route& route) const {
  if (route.protocol != kOurRouteProtocol) return true;
  if (is_holding(route)) return tunnelled_.contains(route.destination) || held_.contains(route.destination);
  switch (route.kind) {
    case io::Route::Kind::kThrow: return thrown_.contains(route.destination);
    case io::Route::Kind::kUnreachable: return refused_.contains(route.destination);
    default: return placed_.contains({.route = route});
  }
}

void Network::repair_routes(Family family) {
  const auto listed = netlink_[0].routes(family, setup_.route_table);
  if (!listed) return unmet_.add("the list of routes", listed.error().message);
  constexpr int kThrown = 0;
  constexpr int kRefused = -1;
  constexpr int kHeld = -2;
  std::set<std::pair<IpPrefix, int>> there;
  for (const auto& route : *listed) {
    const bool special = route.kind != io::Route::Kind::kUnicast;
    const int how = is_holding(route) ? kHeld : route.kind == io::Route::Kind::kUnreachable ? kRefused : kThrown;
    there.emplace(route.destination, special ? how : route.device);
    if (is_wanted(route)) continue;
    if (auto removed = netlink_[0].remove_route(route); !removed)
      unmet_.add("the removal of " + Placed{.route = route}.name(), removed.error().message);
  }
  std::vector<io::Route> missing;
  std::string first_gone;
  const auto look_for = [&](const io::Route& route, int how) {
    const auto& to = route.destination;
    if (to.address.family() != family || there.contains({to, how})) return;
    missing.push_back(route);
    if (first_gone.empty() && !unmet_.was(Placed{.route = route}.name())) first_gone = to.to_string();
  };
  for (const auto& prefix : tunnelled_) look_for(holding(prefix), kHeld);
  for (const auto& what : placed_) {
    if (what.what == Placed::What::kRoute) look_for(what.route, what.route.device);
  }
  for (const auto& prefix : thrown_) look_for(special(prefix, io::Route::Kind::kThrow), kThrown);
  for (const auto& prefix : refused_) look_for(special(prefix, io::Route::Kind::kUnreachable), kRefused);
  if (missing.empty()) return;
  if (!first_gone.empty()) {
    log_.notice("network", std::to_string(missing.size()) + " of our routes were gone, among them " + first_gone +
                               ": putting them back");
  }
  (void)put(missing);
}

}  // namespace cygnet::daemon
