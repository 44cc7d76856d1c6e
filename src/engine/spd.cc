// SPDX-License-Identifier: Apache-2.0
#include "engine/spd.h"

#include <algorithm>

namespace cygnet::engine {
namespace {

[[nodiscard]] auto rank(const Policy& policy) { return std::pair{policy.spec.order, policy.spec.id.value}; }

// Every prefix the policy's remote side is made of, each once.
[[nodiscard]] std::vector<IpPrefix> remote_prefixes(const Policy& policy) {
  std::vector<IpPrefix> all;
  for (const auto& selector : policy.spec.remote) {
    if (!selector.range.valid()) continue;
    const auto prefixes = selector.range.to_prefixes();
    all.insert(all.end(), prefixes.begin(), prefixes.end());
  }
  std::ranges::sort(all);
  const auto twins = std::ranges::unique(all);
  all.erase(twins.begin(), twins.end());
  return all;
}

// One side: some selector takes the packet, and if its address is link-scoped one that names such addresses on purpose.
[[nodiscard]] bool side_matches(const model::TrafficSelectors& selectors, const IpAddress& address,
                                const PacketSelectors& packet, std::uint16_t port, bool on_purpose) {
  const bool special = on_purpose && is_link_scoped(address);
  return std::ranges::any_of(selectors, [&](const model::TrafficSelector& selector) {
    return matches(selector, address, packet.protocol, packet.has_ports, port) &&
           (!special || names_link_scoped(selector.range));
  });
}

}  // namespace

bool Policy::matches(const PacketSelectors& packet) const {
  const bool on_purpose = spec.action == model::PolicyAction::kProtect;
  return side_matches(spec.remote, packet.remote, packet, packet.remote_port, on_purpose) &&
         side_matches(spec.local, packet.local, packet, packet.local_port, on_purpose);
}

Policy& Spd::install(const model::PolicySpec& spec, DeviceId device) {
  bool pending = false;
  if (const auto* old = find(spec.id)) {
    pending = old->acquire_pending;
    remove(spec.id);
  }
  auto policy = std::make_unique<Policy>();
  policy->spec = spec;
  policy->device = device;
  policy->any_device = spec.device.empty();
  policy->acquire_pending = pending;
  auto& installed = *policy;
  policies_.emplace(spec.id, std::move(policy));
  index(installed);
  return installed;
}

bool Spd::remove(model::PolicyId id) {
  const auto it = policies_.find(id);
  if (it == policies_.end()) return false;
  unindex(*it->second);
  policies_.erase(it);
  return true;
}

Policy* Spd::find(model::PolicyId id) {
  const auto it = policies_.find(id);
  return it == policies_.end() ? nullptr : it->second.get();
}

Policy* Spd::find(const PacketSelectors& packet, DeviceId device) const { return search(packet, &device); }
Policy* Spd::find(const PacketSelectors& packet) const { return search(packet, nullptr); }

Policy* Spd::search(const PacketSelectors& packet, const DeviceId* device) const {
  Policy* best = nullptr;
  for (const auto& [length, table] : tables(packet.remote.family())) {
    const auto bucket = table.find(IpPrefix{packet.remote, length}.network());
    if (bucket == table.end()) continue;
    for (auto* policy : bucket->second) {
      if (best != nullptr && rank(*best) <= rank(*policy)) break;
      if (device != nullptr && !policy->any_device && policy->device != *device) continue;
      if (!policy->matches(packet)) continue;
      best = policy;
      break;
    }
  }
  return best;
}

void Spd::index(Policy& policy) {
  for (const auto& prefix : remote_prefixes(policy)) {
    auto& bucket = tables(prefix.address.family())[prefix.length][prefix.network()];
    const auto at = std::ranges::upper_bound(bucket, rank(policy), {}, [](const Policy* p) { return rank(*p); });
    bucket.insert(at, &policy);
  }
}

void Spd::unindex(const Policy& policy) {
  for (const auto& prefix : remote_prefixes(policy)) {
    auto& by_length = tables(prefix.address.family());
    const auto table = by_length.find(prefix.length);
    if (table == by_length.end()) continue;
    const auto bucket = table->second.find(prefix.network());
    if (bucket == table->second.end()) continue;
    std::erase(bucket->second, &policy);
    if (bucket->second.empty()) table->second.erase(bucket);
    if (table->second.empty()) by_length.erase(table);
  }
}

std::vector<const Policy*> Spd::ordered() const {
  std::vector<const Policy*> all;
  all.reserve(policies_.size());
  for (const auto& [id, policy] : policies_) all.push_back(policy.get());
  std::ranges::sort(all, {}, [](const Policy* p) { return rank(*p); });
  return all;
}

}  // namespace cygnet::engine
