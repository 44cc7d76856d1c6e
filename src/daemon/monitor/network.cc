// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/network.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "io/process.h"
#include "io/xfrm_socket.h"
#include "model/address_pool.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kOurRouteProtocol = 89;  // see io/rtnetlink.cc
// Leaves room for the largest overhead of any SA below an Ethernet's 1500; the engine knows each path more exactly and
// tells senders by ICMP.
constexpr std::uint32_t kDeviceMtu = 1400;
constexpr int kDeviceAttempts = 30;
constexpr auto kDevicePause = std::chrono::milliseconds(100);

// A device that nobody holds open has no carrier; its routes must go on leading into it all the same. What hinders
// that, by the name of the setting.
std::string why_not_without_carrier(const std::string& device) {
  const auto setting = [](const std::string& family, const std::string& whose) {
    return "net/" + family + "/conf/" + whose + "/ignore_routes_with_linkdown";
  };
  const auto is_on = [](const std::string& name) {
    std::ifstream file("/proc/sys/" + name);
    char now = '0';
    return file >> now && now != '0';
  };
  for (const char* family : {"ipv4", "ipv6"}) {
    const auto own = setting(family, device);
    if (!is_on(own)) continue;
    std::ofstream("/proc/sys/" + own) << '0' << std::flush;
    if (is_on(own)) return own;
  }
  // Since Linux 5.11 this one counts for each device; it is the administrator's.
  const auto all = setting("ipv4", "all");
  return is_on(all) ? all : "";
}

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

Network::Network(model::Setup setup, std::string state_path, Logger& log, model::EngineThreads threads,
                 const EnginePlan& plan)
    : setup_(std::move(setup)),
      threads_(daemon::engine_threads(threads)),
      wanted_threads_(std::move(threads)),
      state_path_(std::move(state_path)),
      log_(log),
      kernel_(!plan.user),
      both_(plan.both()),
      gate_({.devices = daemon::device_names(setup_),
             .ike_port = setup_.ike_port,
             .nat_port = setup_.nat_port,
             .route_table = setup_.route_table,
             .kernel = !plan.user,
             .beside_kernel = plan.both()},
            log) {}

NetworkBounds bounds_of(const model::Connection& connection) {
  NetworkBounds out;
  // Which of the two ends is ours is not known here: they are not oriented yet.
  for (const auto* end : {&connection.local, &connection.remote}) {
    for (const auto& ip : end->source_ips) out.addresses.push_back(IpRange::of(ip));
    out.assigned_addresses = out.assigned_addresses || end->requests_address();
    if (!connection.proxy_arp) continue;
    for (const auto& pool : end->pools) out.proxied.push_back(pool.range);
  }
  for (const auto& child : connection.children) {
    if (!connection.proxy_arp) break;
    for (const auto* side : {&child.local, &child.remote}) {
      for (const auto& selector : *side) out.proxied.push_back(selector.range);
    }
  }
  return out;
}

Result<void> Network::open() {
  auto opened = open_all();
  if (!opened) remove_interfaces();
  return opened;
}

Result<void> Network::open_all() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  netlink_.push_back(std::move(*netlink));
  if (auto ok = open_sockets(); !ok) {
    return ok;
  }
  clean_up_earlier(true);
  proxies_.emplace(netlink_[0], proxy_switches_path(), log_);
  if (auto ok = open_devices(); !ok) {
    return ok;
  }
  if (auto ok = write_state(); !ok) return ok;
  opened_ = true;
  for (const auto& device : devices_) {
    if (auto kept = io::keep_tun(device, true); !kept) {
      log_.warning("network", kept.error().message + ": if the monitor is killed, packets leave in the clear");
    }
  }
  take_over_routes();
  on_network_changed();
  if (auto added = add_rules(); !added) return added;
  gate_.open();
  return {};
}

Result<void> Network::write_state() const {
  std::ostringstream state;
  state << setup_.route_table << ' ' << setup_.rule_priority << ' ' << setup_.fwmark;
  for (const auto& device : devices_) state << ' ' << device.name;
  for (const auto& each : interfaces_) {
    if (each.made) state << ' ' << each.is.name;
  }
  return io::replace_file(state_path_, state.str() + '\n', 0600);
}

Result<void> Network::clean_up() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  netlink_.push_back(std::move(*netlink));
  clean_up_earlier(false);
  io::remove_file(state_path_);
  return {};
}

Result<io::TunDevice> Network::open_device(const std::string& name, bool earlier) {
  auto device = io::open_tun(name, threads_ > 1, earlier);
  // The processes of a killed monitor die with it, but not before it.
  for (int attempt = 0; !device && earlier && attempt < kDeviceAttempts; ++attempt) {
    std::this_thread::sleep_for(kDevicePause);
    device = io::open_tun(name, threads_ > 1, earlier);
  }
  if (!device && earlier) {
    // Kept by one of another version, which made it otherwise.
    remove_device(name);
    device = io::open_tun(name, threads_ > 1, earlier);
  }
  if (!device) {
    return device;
  }
  // Without IPv6 in the kernel there is nothing to turn off.
  (void)netlink_[0].no_link_local_address(device->index);
  if (auto up = netlink_[0].set_up(device->index, kDeviceMtu); !up) {
    return fail(name + ": " + up.error().message);
  }
  if (auto kept = netlink_[0].keep_routes(device->index); !kept)
    log_.warning("network", name + ": " + kept.error().message);
  if (const auto setting = why_not_without_carrier(name); !setting.empty()) {
    log_.warning("network", setting +
                                " is 1: if cygnetd is killed, packets for its tunnels leave in the clear. Set it "
                                "to 0, and to 1 for the devices that it is meant for");
  }
  return device;
}

Result<void> Network::open_devices() {
  const auto earlier = read_earlier();
  for (const auto& name : setup_.devices) {
    auto device = open_device(name, earlier && std::ranges::find(earlier->devices, name) != earlier->devices.end());
    if (!device) {
      return std::unexpected(device.error());
    }
    devices_.push_back(std::move(*device));
  }
  if (auto made = open_interfaces(earlier ? earlier->devices : std::vector<std::string>{}); !made) return made;
  auto workers =
      open_worker_queues(setup_.fwmark, threads_, devices_, engine_sockets(), both_ ? model::kKernelSpiBit : 0);
  if (!workers) {
    return std::unexpected(workers.error());
  }
  workers_ = std::move(*workers);
  return both_ ? open_kernel_sockets() : Result<void>{};
}

Result<void> Network::open_kernel_sockets() {
  const auto sockets = engine_sockets();
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    // No policy of the kernel's is for what our own engine has sealed, or will open.
    if (auto passed = io::bypass_policies(sockets[i]->fd.get(), sockets[i]->family); !passed) return passed;
    for (const auto& worker : workers_) {
      if (auto passed = io::bypass_policies(worker.sockets[i].get(), sockets[i]->family); !passed) return passed;
    }
    if (sockets[i]->kind != io::OuterKind::kUdp) continue;
    // After ours: the filter counts them in this order.
    auto kernels = io::open_udp(sockets[i]->family, setup_.nat_port, setup_.fwmark, true, true);
    if (!kernels) return std::unexpected(kernels.error());
    if (auto parted = io::part_by_spi(*kernels, threads_, model::kKernelSpiBit); !parted) return parted;
    io::take_single_datagrams(sockets[i]->fd.get());
    for (const auto& worker : workers_) io::take_single_datagrams(worker.sockets[i].get());
    kernel_sockets_.push_back(std::move(*kernels));
  }
  return {};
}

std::vector<const io::OuterSocket*> Network::engine_sockets() const {
  std::vector<const io::OuterSocket*> found;
  for (const auto& socket : sockets_) {
    if (socket.kind != io::OuterKind::kUdp || socket.port != setup_.ike_port) {
      found.push_back(&socket);
    }
  }
  return found;
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
      const bool several = encapsulation && (threads_ > 1 || both_);
      const auto free = several ? expect_free_port(family, port) : Result<void>{};
      auto socket = free ? io::open_udp(family, port, setup_.fwmark, encapsulation, several)
                         : Result<io::OuterSocket>(std::unexpected(free.error()));
      if (!socket && family == Family::kV6 && socket.error().message.find("has no IPv6") != std::string::npos) {
        log_.notice("network", socket.error().message);
        return {};
      }
      if (!socket) {
        return std::unexpected(socket.error());
      }
      sockets_.push_back(std::move(*socket));
    }
    // Nobody would read them.
    if (kernel_) continue;
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

std::optional<Network::Earlier> Network::read_earlier() const {
  std::ifstream file(state_path_);
  Earlier out;
  if (!(file >> out.table >> out.priority >> out.mark)) return std::nullopt;
  for (std::string device; file >> device;) out.devices.push_back(device);
  return out;
}

void Network::remove_device(const std::string& name) {
  const auto links = netlink_[0].links();
  for (const auto& link : links ? *links : std::vector<io::Link>{}) {
    if (link.name == name) (void)netlink_[0].remove_link(link.index);
  }
}

// What a killed monitor left is told by the file it wrote, and by our own numbers. The next one takes over what still
// fits its configuration, so that the way is shut without a gap; all else goes.
void Network::clean_up_earlier(bool keep_what_fits) {
  ProxyNeighbours::take_back_earlier(netlink_[0], proxy_switches_path());
  const auto earlier = read_earlier();
  if (!earlier) {
    if (!keep_what_fits) ClearTextGate::take_back_earlier(setup_.route_table);
    remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
    return;
  }
  const bool same = keep_what_fits && earlier->table == setup_.route_table &&
                    earlier->priority == setup_.rule_priority && earlier->mark == setup_.fwmark;
  log_.notice("network",
              same ? "an earlier cygnetd did not end by itself: taking over the rule, devices and routes it left"
                   : "an earlier cygnetd did not end by itself: removing the rule and routes it left");
  const auto wanted = daemon::device_names(setup_);
  for (const auto& name : earlier->devices) {
    if (!same || std::ranges::find(wanted, name) == wanted.end()) remove_device(name);
  }
  if (same) return;
  remove_ours(earlier->table, earlier->priority, earlier->mark);
  remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
  ClearTextGate::take_back_earlier(earlier->table);
}

Result<Network::Placed> Network::check(const NetworkRequest& request) const {
  const int device = index_of(request.device);
  if (device == 0) {
    return fail("'" + request.device + "' is not one of our devices: name it in config setup");
  }
  Placed what;
  using What = NetworkRequest::What;
  if (request.what == What::kAddAddress || request.what == What::kRemoveAddress) {
    what.what = Placed::What::kAddress;
  } else if (request.what == What::kAddProxy || request.what == What::kRemoveProxy) {
    what.what = Placed::What::kProxy;
  } else if (request.what == What::kAddClear || request.what == What::kRemoveClear) {
    what.what = Placed::What::kClear;
  } else if (request.what >= What::kAddGuard) {
    what.what = Placed::What::kGuard;
    what.traffic = {.order = request.guard_order,
                    .allowed = request.what >= What::kAddExempt,
                    .remote = request.guarded_remote,
                    .local = request.guarded_local};
    return what;
  }
  const bool one_address = what.what == Placed::What::kAddress || what.what == Placed::What::kProxy;
  if (request.prefix.length > request.prefix.address.bits() ||
      (one_address && request.prefix.length != request.prefix.address.bits()) ||
      (request.source && request.source->family() != request.prefix.address.family())) {
    return fail("an impossible route or address was asked for");
  }
  what.route = {.destination = {request.prefix.network(), request.prefix.length},
                .table = setup_.route_table,
                .device = device,
                .source = request.source,
                .mtu = request.mtu};
  return what;
}

// A process that reads the network must not get more by its requests than the configuration gives.
Result<void> Network::check_bounds(const Placed& what) const {
  const auto inside = [](const std::vector<IpRange>& ranges, const IpAddress& ip) {
    return std::ranges::any_of(ranges, [&](const IpRange& range) { return range.contains(ip); });
  };
  const auto& ip = what.route.destination.address;
  if (placed_.size() >= kMost) {
    return fail("more than " + std::to_string(kMost) + " routes and addresses were asked for");
  }
  if (what.what >= Placed::What::kClear && guarded_ >= kMostGuarded) {
    return fail("more than " + std::to_string(kMostGuarded) +
                " networks of which only a part is protected were asked for: the filter does not know of the newest");
  }
  if (what.what == Placed::What::kAddress) {
    const bool assigned = bounds_.assigned_addresses && model::is_assignable(ip) && !not_proxied_.contains(ip);
    if (!assigned && !inside(bounds_.addresses, ip)) {
      return fail(ip.to_string() + " is not to be set: no connection has it as its leftsourceip=");
    }
    if (addresses_ >= kMostAddresses) {
      return fail("more than " + std::to_string(kMostAddresses) + " addresses were asked for");
    }
  }
  if (what.what == Placed::What::kProxy) {
    if (!inside(bounds_.proxied, ip)) {
      return fail(ip.to_string() +
                  " is not to be answered for: it is in no pool or network of a connection with proxyarp=yes");
    }
    if (not_proxied_.contains(ip)) {
      return fail(ip.to_string() + " is not to be answered for: it is this machine's own, or its gateway's");
    }
  }
  return {};
}

Result<void> Network::place(const Placed& what) {
  switch (what.what) {
    case Placed::What::kAddress: return netlink_[0].add_address(what.route.device, what.route.destination.address);
    case Placed::What::kProxy: proxies_->want(what.route.destination.address); return {};
    case Placed::What::kClear: gate_.want_clear(what.route.destination, true); return {};
    case Placed::What::kGuard: gate_.want_guard(what.traffic, true); return {};
    case Placed::What::kRoute: break;
  }
  const auto failed = set_routes({what.route});
  return failed.empty() ? Result<void>() : std::unexpected(failed.front().second);
}

// The kernel takes no source that is not an address of this machine. Without one the route still keeps packets from
// leaving in the clear.
std::vector<std::pair<std::size_t, Error>> Network::set_routes(const std::vector<io::Route>& routes) {
  auto failed = netlink_[0].add_routes(routes);
  std::erase_if(failed, [&](const auto& one) {
    auto route = routes[one.first];
    if (!route.source) return false;
    route.source.reset();
    if (!netlink_[0].add_route(route)) return false;
    log_.warning("network", "the route " + route.destination.to_string() + " is there without its source " +
                                routes[one.first].source->to_string() + ", which is no address of this machine");
    return true;
  });
  return failed;
}

Result<void> Network::displace(const Placed& what) {
  switch (what.what) {
    case Placed::What::kAddress: return netlink_[0].remove_address(what.route.device, what.route.destination.address);
    case Placed::What::kProxy: proxies_->stop_wanting(what.route.destination.address); return {};
    case Placed::What::kClear: gate_.want_clear(what.route.destination, false); return {};
    case Placed::What::kGuard: gate_.want_guard(what.traffic, false); return {};
    case Placed::What::kRoute: break;
  }
  return netlink_[0].remove_route(what.route);
}

void Network::remember(const Placed& what) {
  const bool fresh = placed_.insert(what).second;
  if (fresh && what.what == Placed::What::kAddress) ++addresses_;
  if (fresh && what.what >= Placed::What::kClear) ++guarded_;
  if (fresh && what.what == Placed::What::kRoute) {
    ++tunnelled_count_[what.route.destination];
    tunnelled_.insert(what.route.destination);
  }
}

void Network::forget(const Placed& what) {
  if (placed_.erase(what) == 0) return;
  if (what.what == Placed::What::kAddress) --addresses_;
  if (what.what >= Placed::What::kClear) --guarded_;
  if (what.what == Placed::What::kRoute && --tunnelled_count_[what.route.destination] == 0) {
    tunnelled_count_.erase(what.route.destination);
    tunnelled_.erase(what.route.destination);
  }
}

Result<void> Network::apply(const NetworkRequest& request) { return apply_one(request); }

Result<void> Network::apply_one(const NetworkRequest& request) {
  const auto what = check(request);
  if (!what) {
    return std::unexpected(what.error());
  }
  ways_changed_ = true;
  // Additions have even numbers.
  const bool adding = static_cast<unsigned>(request.what) % 2 == 0;
  const bool there = placed_.contains(*what);
  Result<void> done;
  if (!adding) before_.erase(*what);
  if (!adding && kept_.contains(*what)) {
    wanted_.erase(*what);
    return {};
  }
  if (adding && !there) {
    if (auto within = check_bounds(*what); !within) return within;
  }
  if (there && what->what >= Placed::What::kClear) {
    // These are counted: what is there is not put there twice.
    if (adding) {
      wanted_.insert(*what);
      return {};
    }
  } else if (!there && !adding && what->what >= Placed::What::kClear) {
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
                       placed_.size() + fresh.size() < kMost && !thrown_.contains(what->route.destination) &&
                       !has_connected_inside(what->route.destination);
    if (plain) {
      forget(*what);
      wanted_.erase(*what);
      fresh.push_back(*what);
      continue;
    }
    place_together(fresh, errors);
    if (auto done = apply_one(request); !done) errors.push_back(std::move(done.error()));
  }
  place_together(fresh, errors);
  return errors;
}

void Network::place_together(std::vector<Placed>& routes, std::vector<Error>& errors) {
  if (routes.empty()) return;
  ways_changed_ = true;
  std::vector<io::Route> wanted;
  for (const auto& what : routes) wanted.push_back(what.route);
  std::vector<bool> good(routes.size(), true);
  for (auto& [place, error] : set_routes(wanted)) {
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

void Network::close() {
  if (proxies_) proxies_->close();
  if (!netlink_.empty() && opened_) {
    remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
    gate_.close();
    for (const auto& device : devices_) (void)io::keep_tun(device, false);
    remove_interfaces();
    io::remove_file(state_path_);
  }
  placed_.clear();
  addresses_ = 0;
  guarded_ = 0;
  thrown_.clear();
  workers_.clear();
  kernel_sockets_.clear();
  devices_.clear();  // the devices vanish with their last descriptor
  sockets_.clear();
}

}  // namespace cygnet::daemon
