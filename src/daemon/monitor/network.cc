// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/network.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "io/process.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kOurRouteProtocol = 89;  // see io/rtnetlink.cc
constexpr std::uint32_t kMainTable = 254;
// Leaves room for the largest overhead of any SA below an Ethernet's 1500; the engine knows each path more exactly and
// tells senders by ICMP.
constexpr std::uint32_t kDeviceMtu = 1400;

// Whether a wider prefix of the set contains this one: a look for each shorter length, however large the set.
bool lies_inside(const std::set<IpPrefix>& set, IpPrefix prefix) {
  while (prefix.length > 0) {
    --prefix.length;
    if (set.contains({prefix.network(), prefix.length})) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::set<IpPrefix> throw_prefixes(const std::set<IpPrefix>& tunnelled, const std::vector<IpPrefix>& connected) {
  std::set<IpPrefix> out;
  for (const auto& c : connected) {
    const IpPrefix network{c.network(), c.length};
    if (!tunnelled.contains(network) && lies_inside(tunnelled, network)) {
      out.insert(network);
    }
  }
  return out;
}

Network::Network(model::Setup setup, std::string state_path, Logger& log)
    : setup_(std::move(setup)), state_path_(std::move(state_path)), log_(log) {}

Result<void> Network::open() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  netlink_.push_back(std::move(*netlink));
  if (auto ok = open_sockets(); !ok) {
    return ok;
  }
  clean_up_earlier();
  proxies_.emplace(netlink_[0], proxy_switches_path(), log_);
  if (auto ok = open_devices(); !ok) {
    return ok;
  }
  std::ostringstream state;
  state << setup_.route_table << ' ' << setup_.rule_priority << ' ' << setup_.fwmark << '\n';
  if (auto ok = io::replace_file(state_path_, state.str(), 0600); !ok) {
    return ok;
  }
  opened_ = true;
  on_network_changed();
  return add_rules();
}

Result<void> Network::clean_up() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  netlink_.push_back(std::move(*netlink));
  clean_up_earlier();
  io::remove_file(state_path_);
  return {};
}

Result<void> Network::open_devices() {
  for (const auto& name : setup_.devices) {
    auto device = io::open_tun(name);
    if (!device) {
      return std::unexpected(device.error());
    }
    // Without IPv6 in the kernel there is nothing to turn off.
    (void)netlink_[0].no_link_local_address(device->index);
    if (auto up = netlink_[0].set_up(device->index, kDeviceMtu); !up) {
      return fail(name + ": " + up.error().message);
    }
    devices_.push_back(std::move(*device));
  }
  return {};
}

void Network::open_optional_socket(Result<io::OuterSocket> socket) {
  if (socket) {
    sockets_.push_back(std::move(*socket));
  } else {
    log_.warning("network", socket.error().message);
  }
}

Result<void> Network::open_sockets() {
  for (const auto family : {Family::kV4, Family::kV6}) {
    for (const bool encapsulation : {false, true}) {
      const auto port = encapsulation ? setup_.nat_port : setup_.ike_port;
      auto socket = io::open_udp(family, port, setup_.fwmark, encapsulation);
      if (!socket && family == Family::kV6 && socket.error().message.find("has no IPv6") != std::string::npos) {
        log_.notice("network", socket.error().message);
        return {};
      }
      if (!socket) {
        return std::unexpected(socket.error());
      }
      sockets_.push_back(std::move(*socket));
    }
    // Where a container may not have raw sockets, ESP in UDP still works.
    open_optional_socket(io::open_esp(family, setup_.fwmark));
    open_optional_socket(io::open_ah(family, setup_.fwmark));
    open_optional_socket(io::open_clear(family, setup_.fwmark));
  }
  return {};
}

Result<void> Network::add_rules() {
  for (const auto family : {Family::kV4, Family::kV6}) {
    const io::MarkRule rule{family, setup_.rule_priority, setup_.fwmark, setup_.route_table};
    if (auto added = netlink_[0].add_rule(rule); !added) {
      if (family == Family::kV6) {
        log_.notice("network", "IPv6: " + added.error().message);
      } else {
        return fail(added.error().message + " (does this kernel have policy routing, CONFIG_IP_MULTIPLE_TABLES?)");
      }
    }
  }
  return {};
}

void Network::remove_ours(std::uint32_t table, std::uint32_t priority, std::uint32_t mark) {
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto rules = netlink_[0].mark_rules(family);
    for (const auto& rule : rules ? *rules : std::vector<io::MarkRule>{}) {
      if (rule.table == table && rule.priority == priority && rule.mark == mark) {
        (void)netlink_[0].remove_rule(rule);
      }
    }
    const auto routes = netlink_[0].routes(family, table);
    for (const auto& route : routes ? *routes : std::vector<io::Route>{}) {
      if (route.protocol == kOurRouteProtocol) {
        (void)netlink_[0].remove_route(route);
      }
    }
  }
}

void Network::clean_up_earlier() {
  // What a killed monitor set is told by the file it left, and by our own numbers.
  std::ifstream file(state_path_);
  std::uint32_t table = 0;
  std::uint32_t priority = 0;
  std::uint32_t mark = 0;
  if (file >> table >> priority >> mark) {
    log_.notice("network", "an earlier cygnetd did not end by itself: removing the rule and routes it left");
    remove_ours(table, priority, mark);
  }
  remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
  ProxyNeighbours::take_back_earlier(netlink_[0], proxy_switches_path());
}

Result<Network::Placed> Network::check(const NetworkRequest& request) const {
  const auto device = std::ranges::find(devices_, request.device, &io::TunDevice::name);
  if (device == devices_.end()) {
    return fail("'" + request.device + "' is not one of our devices: name it in config setup");
  }
  Placed what;
  using What = NetworkRequest::What;
  if (request.what == What::kAddAddress || request.what == What::kRemoveAddress) {
    what.what = Placed::What::kAddress;
  } else if (request.what == What::kAddProxy || request.what == What::kRemoveProxy) {
    what.what = Placed::What::kProxy;
  }
  if (request.prefix.length > request.prefix.address.bits() ||
      (what.what != Placed::What::kRoute && request.prefix.length != request.prefix.address.bits()) ||
      (request.source && request.source->family() != request.prefix.address.family())) {
    return fail("an impossible route or address was asked for");
  }
  what.route = {.destination = {request.prefix.network(), request.prefix.length},
                .table = setup_.route_table,
                .device = device->index,
                .source = request.source,
                .mtu = request.mtu};
  return what;
}

Result<void> Network::place(const Placed& what) {
  switch (what.what) {
    case Placed::What::kAddress: return netlink_[0].add_address(what.route.device, what.route.destination.address);
    case Placed::What::kProxy: proxies_->want(what.route.destination.address); return {};
    case Placed::What::kRoute: break;
  }
  return netlink_[0].add_route(what.route);
}

Result<void> Network::displace(const Placed& what) {
  switch (what.what) {
    case Placed::What::kAddress: return netlink_[0].remove_address(what.route.device, what.route.destination.address);
    case Placed::What::kProxy: proxies_->stop_wanting(what.route.destination.address); return {};
    case Placed::What::kRoute: break;
  }
  return netlink_[0].remove_route(what.route);
}

void Network::remember(const Placed& what) {
  placed_.insert(what);
  if (what.what == Placed::What::kRoute) {
    ++tunnelled_count_[what.route.destination];
    tunnelled_.insert(what.route.destination);
  }
}

void Network::forget(const Placed& what) {
  if (placed_.erase(what) == 1 && what.what == Placed::What::kRoute &&
      --tunnelled_count_[what.route.destination] == 0) {
    tunnelled_count_.erase(what.route.destination);
    tunnelled_.erase(what.route.destination);
  }
}

Result<void> Network::apply(const NetworkRequest& request) {
  const auto what = check(request);
  if (!what) {
    return std::unexpected(what.error());
  }
  const bool adding = request.what == NetworkRequest::What::kAddRoute ||
                      request.what == NetworkRequest::What::kAddAddress ||
                      request.what == NetworkRequest::What::kAddProxy;
  Result<void> done;
  if (!adding && kept_.contains(*what)) {
    wanted_.erase(*what);
    return {};
  }
  forget(*what);
  wanted_.erase(*what);
  if (adding) {
    // A throw route for the same prefix would be another entry under the same key.
    if (what->what == Placed::What::kRoute && thrown_.erase(what->route.destination) == 1) {
      (void)netlink_[0].remove_route(
          {.kind = io::Route::Kind::kThrow, .destination = what->route.destination, .table = setup_.route_table});
    }
    done = place(*what);
    if (done) {
      remember(*what);
      wanted_.insert(*what);
    }
  } else {
    done = displace(*what);
  }
  if (what->what == Placed::What::kRoute && has_connected_inside(what->route.destination)) {
    set_throw_routes();
  }
  return done;
}

std::vector<Error> Network::apply(const std::vector<NetworkRequest>& requests) {
  std::vector<Error> errors;
  std::vector<Placed> fresh;
  for (const auto& request : requests) {
    const auto what = check(request);
    // One that throw routes have to do with is set by itself.
    const bool plain = what && request.what == NetworkRequest::What::kAddRoute &&
                       !thrown_.contains(what->route.destination) && !has_connected_inside(what->route.destination);
    if (plain) {
      forget(*what);
      wanted_.erase(*what);
      fresh.push_back(*what);
      continue;
    }
    place_together(fresh, errors);
    if (auto done = apply(request); !done) errors.push_back(std::move(done.error()));
  }
  place_together(fresh, errors);
  return errors;
}

void Network::place_together(std::vector<Placed>& routes, std::vector<Error>& errors) {
  if (routes.empty()) return;
  std::vector<io::Route> wanted;
  for (const auto& what : routes) wanted.push_back(what.route);
  std::vector<bool> good(routes.size(), true);
  for (auto& [place, error] : netlink_[0].add_routes(wanted)) {
    good[place] = false;
    errors.push_back(std::move(error));
  }
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (!good[i]) continue;
    remember(routes[i]);
    wanted_.insert(routes[i]);
  }
  routes.clear();
}

// Only then can a route of ours call for a throw route, or make one superfluous.
bool Network::has_connected_inside(const IpPrefix& tunnelled) const {
  return std::ranges::any_of(
      connected_, [&](const IpPrefix& c) { return c.length >= tunnelled.length && tunnelled.contains(c.network()); });
}

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
  if (request.what != What::kAddRoute && request.what != What::kRemoveRoute) {
    return fail("the engine asked for something else than a route");
  }
  const auto what = check(request);
  if (!what) {
    return std::unexpected(what.error());
  }
  const bool ikes = wanted_.contains(*what);
  if (request.what == What::kRemoveRoute) {
    kept_.erase(*what);
    return ikes ? Result<void>{} : apply(request);
  }
  kept_.insert(*what);
  if (placed_.contains(*what)) {
    return {};
  }
  const auto done = apply(request);
  if (!ikes) {
    wanted_.erase(*what);
  }
  return done;
}

void Network::end_sync() {
  for (auto it = placed_.begin(); it != placed_.end();) {
    if (wanted_.contains(*it) || kept_.contains(*it)) {
      ++it;
      continue;
    }
    const auto gone = *it++;
    (void)displace(gone);
    forget(gone);
  }
  set_throw_routes();
}

void Network::on_network_changed() {
  connected_.clear();
  std::vector<AttachedNetwork> attached;
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto routes = netlink_[0].routes(family, kMainTable);
    for (const auto& route : routes ? *routes : std::vector<io::Route>{}) {
      const bool ours = std::ranges::any_of(devices_, [&](const auto& d) { return d.index == route.device; });
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

void Network::close() {
  if (proxies_) proxies_->close();
  if (!netlink_.empty() && opened_) {
    remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
    io::remove_file(state_path_);
  }
  placed_.clear();
  thrown_.clear();
  devices_.clear();  // the devices vanish with their last descriptor
  sockets_.clear();
}

}  // namespace cygnet::daemon
