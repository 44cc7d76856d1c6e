// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/routes.h"

#include <algorithm>

namespace cygnet::daemon {

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

NetworkRequest::What Routes::adding(What what) {
  switch (what) {
    case What::kAddress: return NetworkRequest::What::kAddAddress;
    case What::kProxy: return NetworkRequest::What::kAddProxy;
    case What::kRoute: break;
  }
  return NetworkRequest::What::kAddRoute;
}

NetworkRequest::What Routes::removing(What what) {
  switch (what) {
    case What::kAddress: return NetworkRequest::What::kRemoveAddress;
    case What::kProxy: return NetworkRequest::What::kRemoveProxy;
    case What::kRoute: break;
  }
  return NetworkRequest::What::kRemoveRoute;
}

void Routes::request(NetworkRequest::What what, const Wanted& wanted, const Held& held) {
  send_({next_request_++, what, wanted.prefix, wanted.device, held.source, held.mtu});
}

void Routes::hold(const Wanted& wanted, model::PolicyId policy, std::optional<IpAddress> source, std::uint32_t mtu) {
  auto [it, fresh] = held_.try_emplace(wanted);
  auto& held = it->second;
  const bool differs = !fresh && (held.source != source || held.mtu != mtu);
  held.users.insert(policy);
  of_policy_[policy].insert(wanted);
  if (differs) {
    // The kernel may keep the old source as another entry: out with it first.
    request(NetworkRequest::What::kRemoveRoute, wanted, held);
  }
  if (fresh || differs) {
    held.source = source;
    held.mtu = mtu;
    request(adding(wanted.what), wanted, held);
  }
}

void Routes::add(const model::PolicySpec& policy, const std::vector<IpAddress>& source_ips,
                 const std::vector<IpAddress>& own, std::uint32_t mtu, bool proxy) {
  if (policy.action != model::PolicyAction::kProtect) {
    return;
  }
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
}

void Routes::remove(const model::PolicySpec& policy) {
  const auto of = of_policy_.find(policy.id);
  if (of == of_policy_.end()) {
    return;
  }
  // Routes before the addresses they use: they sort first.
  for (const auto& wanted : of->second) {
    const auto it = held_.find(wanted);
    if (it == held_.end()) {
      continue;
    }
    it->second.users.erase(policy.id);
    if (it->second.users.empty()) {
      request(removing(wanted.what), wanted, it->second);
      held_.erase(it);
    }
  }
  of_policy_.erase(of);
}

std::vector<control::RouteFact> Routes::facts() const {
  std::vector<control::RouteFact> out;
  for (const auto& [wanted, held] : held_) {
    if (wanted.what == What::kRoute) {
      out.push_back({wanted.prefix.to_string(), wanted.device, held.source ? held.source->to_string() : ""});
    }
  }
  return out;
}

}  // namespace cygnet::daemon
