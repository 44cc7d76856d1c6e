// SPDX-License-Identifier: Apache-2.0
// What ike may ask of the kernel, done: checked against the configuration, set, and remembered.
#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"
#include "model/address_pool.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMostRefusalsTold = 100;

std::string name_of(const io::Route& route) {
  const auto to = route.destination.to_string();
  switch (route.kind) {
    case io::Route::Kind::kThrow: return "the route that leaves " + to + " to the other tables";
    case io::Route::Kind::kUnreachable:
      return (route.metric == kHoldingMetric ? "the route that holds packets back for "
                                             : "the route that refuses the pool ") +
             to;
    default: return "the route " + to;
  }
}

}  // namespace

std::string Network::Placed::name() const {
  return what == What::kAddress ? "the address " + route.destination.address.to_string() : name_of(route);
}

void Network::note_unmet(const io::Route& route, const Error& why) {
  unmet_.add(
      name_of(route),
      why.message + (route.kind == io::Route::Kind::kUnicast ? ". Packets for there may leave unprotected" : ""));
}

// A process that somebody else has taken over may ask for anything, as often as it likes.
void Network::refuse(const Error& why) {
  if (++refusals_ <= kMostRefusalsTold) log_.warning("network", why.message);
  if (refusals_ == kMostRefusalsTold)
    log_.warning("network", "what else of that process is not done as it asked is counted and not told any more");
}

Result<Network::Placed> Network::check(const NetworkRequest& request) const {
  const int device = index_of(request.device);
  if (device == 0) {
    return fail("'" + request.device + "' is not one of our devices: name it in config setup");
  }
  Placed what{.request = request.request};
  using What = NetworkRequest::What;
  if (request.what == What::kAddAddress || request.what == What::kRemoveAddress) {
    what.what = Placed::What::kAddress;
  } else if (request.what == What::kAddProxy || request.what == What::kRemoveProxy) {
    what.what = Placed::What::kProxy;
  } else if (request.what == What::kAddPool || request.what == What::kRemovePool) {
    what.what = Placed::What::kPool;
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
  if (what.what == Placed::What::kPool) what.route = special(what.route.destination, io::Route::Kind::kUnreachable);
  return what;
}

// A process that reads the network must not get more by its requests than the configuration gives.
Result<void> Network::check_bounds(const Placed& what) {
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
    const bool assigned = bounds_.assigned_addresses && model::is_assignable(ip) && !is_own_or_gateway(ip);
    if (!assigned && !inside(bounds_.addresses, ip)) {
      return fail(ip.to_string() + " is not to be set: no connection has it as its leftsourceip=");
    }
    if (addresses_ >= kMostAddresses) {
      return fail("more than " + std::to_string(kMostAddresses) + " addresses were asked for");
    }
  }
  if (what.what == Placed::What::kPool) {
    const auto range = IpRange::of(what.route.destination);
    if (std::ranges::none_of(bounds_.pools, [&](const IpRange& pool) { return pool.contains(range); }))
      return fail(what.route.destination.to_string() + " is not to be refused: no connection has it as a pool");
  }
  if (what.what == Placed::What::kProxy) {
    if (!inside(bounds_.proxied, ip)) {
      return fail(ip.to_string() +
                  " is not to be answered for: it is in no pool or network of a connection with proxyarp=yes");
    }
    if (is_own_or_gateway(ip)) {
      return fail(ip.to_string() + " is not to be answered for: it is this machine's own, or its gateway's");
    }
  }
  return {};
}

Result<void> Network::place(const Placed& what) {
  switch (what.what) {
    case Placed::What::kAddress: {
      const auto& ip = what.route.destination.address;
      if (const auto* interface = foreign(what.route.device)) add_guest(*interface, ip);
      if (!ip.is_v4()) want_ipv6(what.route.device);
      auto added = netlink_[0].add_address(what.route.device, ip);
      if (added) return {};
      unmet_.add(what.name(), added.error().message);
      return !ip.is_v4() && is_without_ipv6(what.route.device) ? Result<void>{} : added;
    }
    case Placed::What::kProxy: proxies_->want(what.route.destination.address); return {};
    case Placed::What::kClear: gate_.want_clear(what.route.destination, true); return {};
    case Placed::What::kGuard: gate_.want_guard(what.traffic, true); return {};
    case Placed::What::kPool: return {};
    case Placed::What::kRoute: break;
  }
  const auto failed = set_routes({what.route});
  return failed.empty() ? Result<void>() : std::unexpected(failed.front().second);
}

Result<void> Network::displace(const Placed& what) {
  switch (what.what) {
    case Placed::What::kAddress: {
      const auto& ip = what.route.destination.address;
      const auto* interface = foreign(what.route.device);
      // Somebody else put it there before.
      if (interface != nullptr && guests_.erase({interface->is.name, ip}) == 0) return {};
      return netlink_[0].remove_address(what.route.device, ip);
    }
    case Placed::What::kProxy: proxies_->stop_wanting(what.route.destination.address); return {};
    case Placed::What::kClear: gate_.want_clear(what.route.destination, false); return {};
    case Placed::What::kGuard: gate_.want_guard(what.traffic, false); return {};
    case Placed::What::kPool: return {};
    case Placed::What::kRoute: break;
  }
  std::vector<io::Route> gone{what.route};
  if (!tunnelled_.contains(what.route.destination)) gone.push_back(holding(what.route.destination));
  const auto failed = netlink_[0].remove_routes(gone);
  // repair() finds it among those that nobody wants.
  for (const auto& [place, error] : failed) unmet_.add("the removal of " + name_of(gone[place]), error.message);
  return failed.empty() ? Result<void>() : std::unexpected(failed.front().second);
}

void Network::remember(const Placed& what) {
  const bool fresh = placed_.insert(what).second;
  if (fresh && what.what == Placed::What::kAddress) ++addresses_;
  if (fresh && what.what >= Placed::What::kClear) ++guarded_;
  if (what.what == Placed::What::kPool) pools_.insert(what.route.destination);
  if (fresh && what.what == Placed::What::kRoute) {
    ++tunnelled_count_[what.route.destination];
    if (tunnelled_.insert(what.route.destination).second) update_way(what.route.destination);
  }
}

void Network::forget(const Placed& what) {
  if (placed_.erase(what) == 0) return;
  if (what.what == Placed::What::kAddress) --addresses_;
  if (what.what >= Placed::What::kClear) --guarded_;
  if (what.what == Placed::What::kPool) pools_.erase(what.route.destination);
  if (what.what == Placed::What::kRoute && --tunnelled_count_[what.route.destination] == 0) {
    tunnelled_count_.erase(what.route.destination);
    tunnelled_.erase(what.route.destination);
    update_way(what.route.destination);
  }
}

Result<void> Network::apply(const NetworkRequest& request) {
  auto failures = apply(std::vector{request});
  return failures.empty() ? Result<void>{} : fail(std::move(failures.front().why));
}

Result<void> Network::apply_one(const NetworkRequest& request) {
  const auto what = check(request);
  if (!what) {
    refuse(what.error());
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
    if (auto within = check_bounds(*what); !within) {
      refuse(within.error());
      return within;
    }
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
      (void)netlink_[0].remove_route(special(what->route.destination, io::Route::Kind::kThrow));
      update_way(what->route.destination);
    }
    done = place(*what);
    // What the kernel refuses now is wanted all the same: repair() tries it again.
    remember(*what);
    wanted_.insert(*what);
  } else {
    unmet_.forget(what->name());
    done = displace(*what);
    if (!done && what->what == Placed::What::kAddress) refuse(done.error());
  }
  if (what->what == Placed::What::kRoute && meets_special(what->route.destination)) set_special_routes();
  return done;
}

std::vector<NetworkFailure> Network::apply(const std::vector<NetworkRequest>& requests) {
  std::vector<NetworkFailure> failures;
  std::vector<Placed> fresh;
  for (const auto& request : requests) {
    if (request.what >= NetworkRequest::What::kAddQuestions) {
      ike_asks_ = request.what == NetworkRequest::What::kAddQuestions;
      if (auto done = let_questions_out(ike_asks_); !done)
        failures.push_back({.request = request.request, .why = std::move(done.error().message)});
      continue;
    }
    const auto what = check(request);
    // One that throw routes have to do with is set by itself.
    const bool plain = what && request.what == NetworkRequest::What::kAddRoute &&
                       placed_.size() + fresh.size() < kMost && !meets_special(what->route.destination);
    if (plain) {
      forget(*what);
      wanted_.erase(*what);
      fresh.push_back(*what);
      continue;
    }
    place_together(fresh, failures);
    if (auto done = apply_one(request); !done)
      failures.push_back({.request = request.request, .why = std::move(done.error().message)});
  }
  place_together(fresh, failures);
  // Of many pools together.
  const auto pool = [](const auto& r) {
    return r.what == NetworkRequest::What::kAddPool || r.what == NetworkRequest::What::kRemovePool;
  };
  if (std::ranges::any_of(requests, pool)) set_special_routes();
  return failures;
}

void Network::place_together(std::vector<Placed>& routes, std::vector<NetworkFailure>& failures) {
  if (routes.empty()) return;
  ways_changed_ = true;
  std::vector<io::Route> wanted;
  for (const auto& what : routes) wanted.push_back(what.route);
  for (auto& [place, error] : set_routes(wanted))
    failures.push_back({.request = routes[place].request, .why = std::move(error.message)});
  for (const auto& route : routes) {
    remember(route);
    wanted_.insert(route);
  }
  routes.clear();
}

}  // namespace cygnet::daemon
