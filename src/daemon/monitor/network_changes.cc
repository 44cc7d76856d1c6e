// SPDX-License-Identifier: Apache-2.0
// What happens to the network beside requests of ike: the engine's requests, a new ike, changes by others.
#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kOurRouteProtocol = 89;  // see io/rtnetlink.cc
constexpr std::uint32_t kMainTable = 254;

}  // namespace

void Network::apply_for_engine(const ToMonitor& message) {
  const auto* requests = std::get_if<NetworkRequests>(&message);
  for (const auto& request : requests == nullptr ? std::vector<NetworkRequest>{} : requests->list) {
    if (const auto done = apply_for_engine(request); !done) {
      log_.warning("network", done.error().message);
    }
  }
}

Result<void> Network::apply_for_engine(const NetworkRequest& request) {
  using What = NetworkRequest::What;
  const bool allowed =
      request.what == What::kAddRoute || request.what == What::kRemoveRoute || request.what >= What::kAddClear;
  if (!allowed) {
    return fail("the engine asked for something else than a route");
  }
  const auto what = check(request);
  if (!what) {
    return std::unexpected(what.error());
  }
  const bool ikes = is_ikes(*what);
  ways_changed_ = true;
  if (static_cast<unsigned>(request.what) % 2 != 0) {
    kept_.erase(*what);
    return ikes ? Result<void>{} : apply_one(request);
  }
  kept_.insert(*what);
  if (placed_.contains(*what)) {
    return {};
  }
  const auto done = apply_one(request);
  if (!ikes) {
    wanted_.erase(*what);
  }
  return done;
}

void Network::on_engine_gone() {
  for (auto it = kept_.begin(); it != kept_.end();) {
    if (it->what < Placed::What::kClear) {
      ++it;
      continue;
    }
    const auto gone = *it;
    it = kept_.erase(it);
    ways_changed_ = true;
    if (is_ikes(gone)) continue;
    forget(gone);
    (void)displace(gone);
  }
}

void Network::begin_sync() {
  // Of one that died while it told us, too.
  before_.merge(wanted_);
  wanted_.clear();
}

void Network::end_sync() {
  before_.clear();
  for (auto it = placed_.begin(); it != placed_.end();) {
    if (wanted_.contains(*it) || kept_.contains(*it)) {
      ++it;
      continue;
    }
    const auto gone = *it++;
    forget(gone);
    (void)displace(gone);
  }
  ways_changed_ = true;
  set_throw_routes();
}

// ---- what may come in the clear

bool Network::ike_lets_in(IpPrefix network) const {
  for (;; --network.length) {
    network.address = network.network();
    const Placed clear{.route = {.destination = network}, .what = Placed::What::kClear};
    for (const auto* ikes : {&wanted_, &before_}) {
      const auto it = ikes->lower_bound(clear);
      if (it != ikes->end() && it->what == clear.what && it->route.destination == network) return true;
    }
    if (network.length == 0) return false;
  }
}

// Networks that ike protects as a whole, inside (or equal to) those that the engine's programs let in: the narrower
// policy decides, and of equal ones that which protects.
std::set<IpPrefix> Network::protected_in_clear() const {
  std::set<IpPrefix> out;
  auto clear = kept_.lower_bound({.what = Placed::What::kClear});
  for (; clear != kept_.end() && clear->what == Placed::What::kClear; ++clear) {
    const auto& wide = clear->route.destination;
    for (const auto* ikes : {&wanted_, &before_}) {
      for (auto it = ikes->lower_bound({.route = {.destination = wide}});
           it != ikes->end() && it->what == Placed::What::kRoute && wide.contains(it->route.destination.address);
           ++it) {
        const auto& inner = it->route.destination;
        if (inner.length >= wide.length && !out.contains(inner) && !ike_lets_in(inner)) out.insert(inner);
      }
    }
  }
  return out;
}

void Network::settle_gate() {
  if (std::exchange(ways_changed_, false)) gate_.guard_wholly(protected_in_clear());
  gate_.settle();
}

void Network::on_network_changed() {
  connected_.clear();
  not_proxied_.clear();
  const auto addresses = netlink_[0].addresses();
  for (const auto& one : addresses ? *addresses : std::vector<io::InterfaceAddress>{}) {
    const bool ours = is_ours(one.index);
    if (!ours) not_proxied_.insert(one.prefix.address);
  }
  std::vector<AttachedNetwork> attached;
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto routes = netlink_[0].routes(family, kMainTable);
    for (const auto& route : routes ? *routes : std::vector<io::Route>{}) {
      const bool ours = is_ours(route.device);
      if (route.gateway) not_proxied_.insert(*route.gateway);
      if (route.kind == io::Route::Kind::kUnicast && !route.gateway && route.device != 0 && !ours) {
        connected_.push_back(route.destination);
        attached.push_back({route.destination, route.device});
      }
    }
  }
  proxies_->on_networks(std::move(attached));
  set_throw_routes();
}

void Network::set_throw_routes() {
  auto wanted = throw_prefixes(tunnelled_, connected_);
  for (const auto& prefix : thrown_) {
    if (!wanted.contains(prefix)) {
      (void)netlink_[0].remove_route(
          {.kind = io::Route::Kind::kThrow, .destination = prefix, .table = setup_.route_table});
    }
  }
  for (const auto& prefix : wanted) {
    if (!thrown_.contains(prefix)) {
      const auto added =
          netlink_[0].add_route({.kind = io::Route::Kind::kThrow, .destination = prefix, .table = setup_.route_table});
      if (!added) {
        log_.warning("network",
                     prefix.to_string() +
                         " is attached to this machine but lies inside a tunnelled network: " + added.error().message);
      }
    }
  }
  thrown_ = std::move(wanted);
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
      } else if (ours && placed_.size() < kMost) {
        remember({.route = route});
      } else {
        (void)netlink_[0].remove_route(route);
      }
    }
  }
  const auto addresses = netlink_[0].addresses();
  for (const auto& one : addresses ? *addresses : std::vector<io::InterfaceAddress>{}) {
    const bool ours = is_ours(one.index);
    if (!ours || one.prefix.address.is_link_local()) continue;
    remember(
        {.route = {.destination = IpPrefix::host(one.prefix.address), .table = setup_.route_table, .device = one.index},
         .what = Placed::What::kAddress});
  }
}

io::RouteChangeFilter Network::ours() const {
  io::RouteChangeFilter out{.own_port = netlink_.empty() ? 0 : netlink_[0].port(), .table = setup_.route_table};
  for (const auto& device : devices_) out.devices.push_back(device.index);
  for (const auto& each : interfaces_) out.devices.push_back(each.index);
  return out;
}

bool Network::repair() {
  if (!opened_) return false;
  const bool anew = repair_devices();
  if (auto added = add_rules(); !added) log_.warning("network", added.error().message);
  // A route's source must exist before it.
  repair_addresses();
  for (const auto family : {Family::kV4, Family::kV6}) repair_routes(family);
  return anew;
}

bool Network::repair_devices() {
  const auto links = netlink_[0].links();
  if (!links) return false;
  bool anew = false;
  for (auto& device : devices_) {
    const auto link = std::ranges::find(*links, device.index, &io::Link::index);
    if (link != links->end()) {
      if (link->up) continue;
      put_up_again(device.name, device.index);
      continue;
    }
    log_.error("network", "the device " + device.name +
                              " was deleted: making it anew, with a new engine; all tunnels are negotiated again");
    auto fresh = open_device(device.name, false);
    if (!fresh) {
      log_.error("network", fresh.error().message);
      continue;
    }
    (void)io::keep_tun(*fresh, true);
    for (auto& worker : workers_) {
      auto queue = io::open_tun_queue(*fresh);
      if (!queue) {
        log_.error("network", queue.error().message);
        continue;
      }
      worker.devices[static_cast<std::size_t>(&device - devices_.data())] = std::move(*queue);
    }
    const int old = std::exchange(device, std::move(*fresh)).index;
    renumber(old, device.index);
    anew = true;
  }
  repair_interfaces(*links);
  return anew;
}

void Network::put_up_again(const std::string& name, int index) {
  log_.warning("network", name +
                              " was taken down: without its routes packets would leave in the clear, so it is up "
                              "again (to end this, stop cygnetd)");
  (void)netlink_[0].set_up(index, 0);
}

void Network::renumber(int from, int to) {
  for (auto* set : {&placed_, &wanted_, &before_, &kept_}) {
    std::set<Placed> renumbered;
    for (auto what : *set) {
      if (what.route.device == from) what.route.device = to;
      renumbered.insert(std::move(what));
    }
    *set = std::move(renumbered);
  }
}

void Network::repair_addresses() {
  const auto listed = netlink_[0].addresses();
  if (!listed) return;
  const auto keep_routes = [&](int index) {
    if (auto kept = netlink_[0].keep_routes(index); !kept) log_.warning("network", kept.error().message);
  };
  for (const auto& device : devices_) keep_routes(device.index);
  for (const auto& each : interfaces_) keep_routes(each.index);
  std::set<std::pair<int, IpAddress>> there;
  for (const auto& one : *listed) there.emplace(one.index, one.prefix.address);
  for (const auto& what : placed_) {
    const auto& ip = what.route.destination.address;
    if (what.what != Placed::What::kAddress || there.contains({what.route.device, ip})) continue;
    log_.notice("network", "the address " + ip.to_string() + " was taken away: it is there again");
    if (auto added = place(what); !added) log_.warning("network", added.error().message);
  }
}

void Network::repair_routes(Family family) {
  const auto listed = netlink_[0].routes(family, setup_.route_table);
  if (!listed) return;
  std::set<std::pair<IpPrefix, int>> there;  // throw routes have no device
  for (const auto& route : *listed) {
    there.emplace(route.destination, route.kind == io::Route::Kind::kThrow ? 0 : route.device);
  }
  std::vector<io::Route> missing;
  for (const auto& what : placed_) {
    if (what.what == Placed::What::kRoute && what.route.destination.address.family() == family &&
        !there.contains({what.route.destination, what.route.device})) {
      missing.push_back(what.route);
    }
  }
  for (const auto& prefix : thrown_) {
    if (prefix.address.family() == family && !there.contains({prefix, 0})) {
      missing.push_back({.kind = io::Route::Kind::kThrow, .destination = prefix, .table = setup_.route_table});
    }
  }
  if (missing.empty()) return;
  log_.notice("network", std::to_string(missing.size()) + " of our routes were gone, among them " +
                             missing.front().destination.to_string() + ": putting them back");
  for (const auto& [place, error] : set_routes(missing)) log_.warning("network", error.message);
}

}  // namespace cygnet::daemon
