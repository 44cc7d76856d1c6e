// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/routes.h"

#include <algorithm>
#include <utility>

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMostPairs = 64;  // of one policy's selectors; beyond, more is refused than must be

}  // namespace

std::optional<IpAddress> route_source(const model::PolicySpec& policy, Family family,
                                      const std::vector<IpAddress>& source_ips, const std::vector<IpAddress>& own) {
  for (const auto& ip : source_ips) {
    if (ip.family() == family) {
      return ip;
    }
  }
  for (const auto& ip : own) {
    const bool inside =
        std::ranges::any_of(policy.local, [&](const auto& selector) { return selector.range.contains(ip); });
    if (ip.family() == family && inside && !ip.is_loopback() && !ip.is_link_local()) {
      return ip;
    }
  }
  return std::nullopt;
}

std::optional<model::PolicySpec> coarser(const model::PolicySpec& policy, const model::TrafficSelectors& configured) {
  const auto count = [](const model::TrafficSelectors& selectors) {
    std::size_t all = 0;
    for (const auto& selector : selectors) all += selector.range.to_prefixes().size();
    return all;
  };
  const auto needed = count(policy.remote);
  if (needed <= kMostRoutes || configured.empty() || count(configured) >= needed) return std::nullopt;
  auto out = policy;
  out.remote = configured;
  // No more than was negotiated may come in the clear.
  if (policy.action == model::PolicyAction::kBypass) out.remote.clear();
  return out;
}

NetworkRequest::What Routes::adding(What what) {
  switch (what) {
    case What::kAddress: return NetworkRequest::What::kAddAddress;
    case What::kProxy: return NetworkRequest::What::kAddProxy;
    case What::kClear: return NetworkRequest::What::kAddClear;
    case What::kRoute: break;
  }
  return NetworkRequest::What::kAddRoute;
}

NetworkRequest::What Routes::removing(What what) {
  switch (what) {
    case What::kAddress: return NetworkRequest::What::kRemoveAddress;
    case What::kProxy: return NetworkRequest::What::kRemoveProxy;
    case What::kClear: return NetworkRequest::What::kRemoveClear;
    case What::kRoute: break;
  }
  return NetworkRequest::What::kRemoveRoute;
}

void Routes::Held::use(model::PolicyId policy, Way way) {
  const bool has_source = way.source.has_value();
  users.erase({!has_source, policy});
  users.insert_or_assign({has_source, policy}, std::move(way));
}

void Routes::Held::let_go(model::PolicyId policy) {
  users.erase({false, policy});
  users.erase({true, policy});
}

void Routes::mark(Held& held, bool unplaced) {
  if (std::exchange(held.unplaced, unplaced) == unplaced) return;
  if (unplaced) {
    ++unplaced_;
  } else {
    --unplaced_;
  }
}

void Routes::ask(const Wanted& wanted, Held& held) {
  held.asked = held.wanted();
  held.request = next_request_++;
  mark(held, false);
  if (wanted.what == What::kRoute || wanted.what == What::kAddress) asked_.emplace_back(held.request, wanted);
  send_(
      {held.request, adding(wanted.what), wanted.prefix, wanted.device, held.asked.source, held.asked.mtu, {}, {}, 0});
}

void Routes::hold(const Wanted& wanted, model::PolicyId policy, std::optional<IpAddress> source, std::uint32_t mtu) {
  auto [it, fresh] = held_.try_emplace(wanted);
  auto& held = it->second;
  held.use(policy, {source, mtu});
  of_policy_[policy].insert(wanted);
  if (!fresh && held.asked == held.wanted() && !held.unplaced) return;
  // It takes the place of the old one in one step: without a route packets would leave in the clear.
  ask(wanted, held);
}

void Routes::give_back(const Wanted& wanted, model::PolicyId policy) {
  const auto it = held_.find(wanted);
  if (it == held_.end()) return;
  auto& held = it->second;
  held.let_go(policy);
  if (!held.users.empty()) {
    if (held.asked != held.wanted()) ask(wanted, held);
    return;
  }
  send_({next_request_++,
         removing(wanted.what),
         wanted.prefix,
         wanted.device,
         held.asked.source,
         held.asked.mtu,
         {},
         {},
         0});
  mark(held, false);
  if (wanted.what == What::kClear) --clear_;
  held_.erase(it);
}

void Routes::add(const model::PolicySpec& policy, const std::vector<IpAddress>& source_ips,
                 const std::vector<IpAddress>& own, std::uint32_t mtu, bool proxy) {
  const auto before = std::exchange(of_policy_[policy.id], {});
  if (policy.action == model::PolicyAction::kBypass) add_clear(policy);
  if (policy.action == model::PolicyAction::kProtect) add_protected(policy, source_ips, own, mtu, proxy);
  // Routes before the addresses they use: they sort first.
  const auto& now = of_policy_[policy.id];
  for (const auto& wanted : before) {
    if (!now.contains(wanted)) give_back(wanted, policy.id);
  }
  if (now.empty()) of_policy_.erase(policy.id);
}

void Routes::add_protected(const model::PolicySpec& policy, const std::vector<IpAddress>& source_ips,
                           const std::vector<IpAddress>& own, std::uint32_t mtu, bool proxy) {
  // Addresses first: a route's source must exist.
  for (const auto& ip : source_ips) {
    hold({What::kAddress, IpPrefix::host(ip), policy.device}, policy.id, std::nullopt, 0);
  }
  for (const auto& selector : policy.remote) {
    const auto source = route_source(policy, selector.range.first.family(), source_ips, own);
    for (const auto& prefix : selector.range.to_prefixes()) {
      hold({What::kRoute, prefix, policy.device}, policy.id, source, mtu);
    }
    if (proxy && selector.range.first == selector.range.last) {
      hold({What::kProxy, IpPrefix::host(selector.range.first), policy.device}, policy.id, std::nullopt, 0);
    }
  }
  add_guards(policy);
}

// ---- what must not come in the clear

// The prefixes of this kind inside the prefix, and those that it is inside of.
void Routes::each_overlapping(What what, const IpPrefix& prefix,
                              const std::function<void(const Wanted&, const Held&)>& f) {
  IpPrefix wider{prefix.network(), prefix.length};
  while (wider.length > 0) {
    --wider.length;
    wider.address = wider.network();
    for (auto it = held_.lower_bound({what, wider, ""});
         it != held_.end() && it->first.what == what && it->first.prefix == wider; ++it) {
      f(it->first, it->second);
    }
  }
  const IpPrefix self{prefix.network(), prefix.length};
  for (auto it = held_.lower_bound({what, {self.address, 0}, ""});
       it != held_.end() && it->first.what == what && self.contains(it->first.prefix.address); ++it) {
    if (it->first.prefix.length >= self.length) f(it->first, it->second);
  }
}

void Routes::guard(const Traffic& traffic, const std::string& device, model::PolicyId policy) {
  auto& users = guards_[traffic];
  const bool fresh = users.empty();
  users.insert(policy);
  guards_of_[policy].insert(traffic);
  if (!fresh) return;
  send_({.request = next_request_++,
         .what = NetworkRequest::What::kAddGuard,
         .prefix = {},
         .device = device,
         .source = {},
         .guarded_remote = traffic.remote,
         .guarded_local = traffic.local});
}

// To any of our addresses: a packet from there to elsewhere would have no way back.
void Routes::guard_all_of(const IpPrefix& prefix, const std::string& device, model::PolicyId policy) {
  guard({model::TrafficSelector::of(prefix), model::TrafficSelector::of(IpRange::all(prefix.address.family()))}, device,
        policy);
}

void Routes::add_guards(const model::PolicySpec& policy) {
  const auto all_traffic = [](const model::TrafficSelector& s) { return s.protocol == 0 && s.all_ports(); };
  const bool local_limited = !std::ranges::all_of(policy.local, all_traffic);
  const bool too_many = policy.local.size() * policy.remote.size() > kMostPairs;
  bool limited = false;
  for (const auto& remote : policy.remote) {
    const bool pairs = local_limited || !all_traffic(remote);
    limited = limited || pairs;
    for (const auto& prefix : remote.range.to_prefixes()) {
      if (pairs && too_many) {
        guard_all_of(prefix, policy.device, policy.id);
      } else if (!pairs && clear_ != 0) {
        bool overlaps = false;
        each_overlapping(What::kClear, prefix, [&](const Wanted&, const Held&) { overlaps = true; });
        if (overlaps) guard_all_of(prefix, policy.device, policy.id);
      }
    }
    for (const auto& local : policy.local) {
      if (!pairs || too_many || local.range.first.family() != remote.range.first.family()) continue;
      guard({remote, local}, policy.device, policy.id);
    }
  }
  if (limited) limited_.insert(policy.id);
}

void Routes::add_clear(const model::PolicySpec& policy) {
  for (const auto& selector : policy.remote) {
    for (const auto& prefix : selector.range.to_prefixes()) {
      const Wanted wanted{What::kClear, prefix, policy.device};
      if (!held_.contains(wanted)) ++clear_;
      hold(wanted, policy.id, std::nullopt, 0);
      std::vector<std::pair<Wanted, model::PolicyId>> whole;
      each_overlapping(What::kRoute, prefix, [&](const Wanted& route, const Held& held) {
        for (const auto& [user, way] : held.users) {
          if (!limited_.contains(user.second)) whole.emplace_back(route, user.second);
        }
      });
      for (const auto& [route, user] : whole) guard_all_of(route.prefix, route.device, user);
    }
  }
}

void Routes::remove_guards(const model::PolicySpec& policy) {
  limited_.erase(policy.id);
  const auto of = guards_of_.find(policy.id);
  if (of == guards_of_.end()) return;
  for (const auto& traffic : of->second) {
    const auto it = guards_.find(traffic);
    if (it == guards_.end()) continue;
    it->second.erase(policy.id);
    if (!it->second.empty()) continue;
    guards_.erase(it);
    send_({.request = next_request_++,
           .what = NetworkRequest::What::kRemoveGuard,
           .prefix = {},
           .device = policy.device,
           .source = {},
           .guarded_remote = traffic.remote,
           .guarded_local = traffic.local});
  }
  guards_of_.erase(of);
}

void Routes::remove(const model::PolicySpec& policy) {
  remove_guards(policy);
  const auto of = of_policy_.find(policy.id);
  if (of == of_policy_.end()) {
    return;
  }
  for (const auto& wanted : of->second) give_back(wanted, policy.id);
  of_policy_.erase(of);
}

void Routes::use_pools(std::map<IpPrefix, std::string> pools) {
  const auto before = std::exchange(pools_, std::move(pools));
  const auto ask = [&](NetworkRequest::What what, const std::pair<const IpPrefix, std::string>& pool) {
    send_({next_request_++, what, pool.first, pool.second, {}, 0, {}, {}, 0});
  };
  for (const auto& pool : before) {
    if (!pools_.contains(pool.first)) ask(NetworkRequest::What::kRemovePool, pool);
  }
  for (const auto& pool : pools_) {
    if (!before.contains(pool.first)) ask(NetworkRequest::What::kAddPool, pool);
  }
}

void Routes::let_questions_out(bool out) {
  send_({.request = next_request_++,
         .what = out ? NetworkRequest::What::kAddQuestions : NetworkRequest::What::kRemoveQuestions,
         .prefix = {},
         .device = {},
         .source = {},
         .guarded_remote = {},
         .guarded_local = {}});
}

Routes::Unplaced Routes::on_done(const NetworkDone& done) {
  std::map<std::uint32_t, const std::string*> why;
  for (const auto& failure : done.failures) why.emplace(failure.request, &failure.why);
  const auto answered = [&](std::uint32_t request) { return static_cast<std::int32_t>(request - done.request) <= 0; };
  Unplaced out;
  for (; !asked_.empty() && answered(asked_.front().first); asked_.pop_front()) {
    const auto& [request, wanted] = asked_.front();
    const auto failed = why.find(request);
    const auto it = held_.find(wanted);
    // It may be gone by now, or have been asked for anew.
    if (failed == why.end() || it == held_.end() || it->second.request != request) continue;
    mark(it->second, true);
    for (const auto& [user, way] : it->second.users) out.try_emplace(user.second, *failed->second);
  }
  return out;
}

bool Routes::lacks_something(model::PolicyId policy) const {
  const auto of = unplaced_ == 0 ? of_policy_.end() : of_policy_.find(policy);
  return of != of_policy_.end() &&
         std::ranges::any_of(of->second, [&](const Wanted& wanted) { return held_.at(wanted).unplaced; });
}

std::vector<control::RouteFact> Routes::facts() const {
  std::vector<control::RouteFact> out;
  for (const auto& [wanted, held] : held_) {
    if (wanted.what == What::kRoute) {
      out.push_back(
          {wanted.prefix.to_string(), wanted.device, held.asked.source ? held.asked.source->to_string() : ""});
    }
  }
  return out;
}

}  // namespace cygnet::daemon
