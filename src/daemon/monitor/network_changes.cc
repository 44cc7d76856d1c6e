// SPDX-License-Identifier: Apache-2.0
// What happens to the network beside requests of ike: the engine's requests, a new ike, changes by others.
#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

void Network::apply_for_engine(const ToMonitor& message) {
  const auto* requests = std::get_if<NetworkRequests>(&message);
  for (const auto& request : requests == nullptr ? std::vector<NetworkRequest>{} : requests->list) {
    if (const auto done = apply_for_engine(request); !done) refuse(done.error());
  }
}

Result<void> Network::apply_for_engine(const NetworkRequest& request) {
  using What = NetworkRequest::What;
  const bool allowed = request.what == What::kAddRoute || request.what == What::kRemoveRoute ||
                       (request.what >= What::kAddClear && request.what < What::kAddQuestions);
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
    if (kept_.erase(*what) == 0 || ikes) return {};
    (void)apply_one(request);
    return {};
  }
  if (kept_.contains(*what)) return {};
  if (kept_.size() >= kMostOfEngine) {
    return fail("programs had the engine ask for more than " + std::to_string(kMostOfEngine) + " routes");
  }
  if (!placed_.contains(*what)) {
    (void)apply_one(request);
    // Beyond the bounds, which was told.
    if (!placed_.contains(*what)) return {};
    if (!ikes) wanted_.erase(*what);
  }
  kept_.insert(*what);
  return {};
}

void Network::on_engine_gone() {
  refusals_ = 0;
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
  refusals_ = 0;
  ike_asks_ = false;
  // Of one that died while it told us, too.
  before_.merge(wanted_);
  wanted_.clear();
}

void Network::end_sync() {
  before_.clear();
  if (!ike_asks_) {
    if (auto done = let_questions_out(false); !done) log_.warning("network", done.error().message);
  }
  for (auto it = placed_.begin(); it != placed_.end();) {
    if (wanted_.contains(*it) || kept_.contains(*it)) {
      ++it;
      continue;
    }
    const auto gone = *it++;
    forget(gone);
    unmet_.forget(gone.name());
    auto done = displace(gone);
    if (!done && gone.what == Placed::What::kAddress) log_.warning("network", done.error().message);
  }
  std::vector<io::Route> not_needed;
  for (const auto& prefix : std::exchange(held_, {})) {
    if (tunnelled_.contains(prefix)) continue;
    not_needed.push_back(holding(prefix));
    update_way(prefix);
  }
  for (const auto& [place, error] : netlink_[0].remove_routes(not_needed)) note_unmet(not_needed[place], error);
  ways_changed_ = true;
  set_special_routes();
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

// What our table says of this prefix itself. Others decide where it says nothing.
void Network::update_way(const IpPrefix& prefix) {
  links_unsure_ = true;
  using Way = OutwardGate::Way;
  const bool held = tunnelled_.contains(prefix) || held_.contains(prefix) || refused_.contains(prefix);
  gate_.want_way(prefix, held                       ? std::optional(Way::kHeld)
                         : thrown_.contains(prefix) ? std::optional(Way::kLetOut)
                                                    : std::nullopt);
}

void Network::settle_gate() {
  if (std::exchange(ways_changed_, false)) gate_.guard_wholly(protected_in_clear());
  gate_.settle();
}

io::RouteChangeFilter Network::ours() const {
  io::RouteChangeFilter out{.own_port = netlink_.empty() ? 0 : netlink_[0].port(), .table = setup_.route_table};
  for (const auto& device : devices_) out.devices.push_back(device.index);
  for (const auto& each : interfaces_) out.devices.push_back(each.index);
  return out;
}

bool Network::repair() {
  if (!opened_) return false;
  unmet_.begin_attempt();
  // Without the rule everything is open, and it is soon there.
  if (auto added = add_rules(); !added) unmet_.add("the routing rule", added.error().message);
  const bool anew = repair_devices();
  // A route's source must exist before it.
  repair_addresses();
  for (const auto family : {Family::kV4, Family::kV6}) repair_routes(family);
  set_special_routes();
  unmet_.end_attempt();
  return anew;
}

bool Network::repair_devices() {
  const auto links = netlink_[0].links();
  if (!links) {
    unmet_.add("the list of devices", links.error().message);
    return false;
  }
  bool anew = false;
  for (auto& device : devices_) {
    const auto link = std::ranges::find(*links, device.index, &io::Link::index);
    if (link != links->end()) {
      if (link->up) continue;
      put_up_again(device.name, device.index);
      continue;
    }
    if (!unmet_.was("the device " + device.name))
      log_.error("network", "the device " + device.name +
                                " was deleted: making it anew, with a new engine; all tunnels are negotiated again");
    auto fresh = open_device(device.name, false);
    if (!fresh) {
      unmet_.add("the device " + device.name, fresh.error().message);
      continue;
    }
    if (auto kept = io::keep_tun(*fresh, true); !kept)
      log_.warning("network", kept.error().message + ": if the monitor is killed, packets leave in the clear");
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
  if (auto up = netlink_[0].set_up(index, 0); !up) unmet_.add("the device " + name, name + ": " + up.error().message);
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
  if (!listed) return unmet_.add("the list of addresses", listed.error().message);
  for (const auto& device : devices_) {
    if (auto kept = netlink_[0].keep_routes(device.index); !kept)
      unmet_.add("the address that keeps the routes of " + device.name, device.name + ": " + kept.error().message);
  }
  for (const auto& each : interfaces_) keep_routes_of(each);
  std::set<std::pair<int, IpAddress>> there;
  for (const auto& one : *listed) there.emplace(one.index, one.prefix.address);
  for (const auto& what : placed_) {
    const auto& ip = what.route.destination.address;
    if (what.what != Placed::What::kAddress || there.contains({what.route.device, ip})) continue;
    if (!unmet_.was(what.name())) log_.notice("network", what.name() + " was taken away: it is set again");
    (void)place(what);
  }
}

}  // namespace cygnet::daemon
