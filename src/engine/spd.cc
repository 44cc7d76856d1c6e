// SPDX-License-Identifier: Apache-2.0
#include "engine/spd.h"

#include <algorithm>
#include <new>
#include <utility>

namespace cygnet::engine {
namespace {

using classifier::Classifier;
using classifier::Hit;
using classifier::kBurst;
using classifier::Query;
using classifier::Rule;
using classifier::V4;
using classifier::V6;

[[nodiscard]] std::uint64_t rank(const Policy& policy) {
  return (std::uint64_t{policy.spec.order} << 32U) | policy.spec.id.value;
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

[[nodiscard]] bool meant_on_purpose(const Policy& policy) {
  return policy.spec.action == model::PolicyAction::kProtect;
}

[[nodiscard]] Policy* owner_of(const Hit& hit) { return static_cast<Policy*>(const_cast<void*>(hit.owner)); }

}  // namespace

bool Policy::matches(const PacketSelectors& packet) const {
  const bool on_purpose = meant_on_purpose(*this);
  return side_matches(spec.remote, packet.remote, packet, packet.remote_port, on_purpose) &&
         side_matches(spec.local, packet.local, packet, packet.local_port, on_purpose);
}

Spd::Spd(Epochs* epochs, std::uint64_t seed, FlowRegions* regions)
    : own_epochs_(epochs == nullptr ? std::make_unique<Epochs>() : nullptr),
      epochs_(epochs == nullptr ? *own_epochs_ : *epochs),
      regions_(regions),
      pool_(epochs_),
      rule_pool_(epochs_),
      v4_(
          pool_,
          [](const void* owner, const PacketSelectors& packet, bool) {
            return static_cast<const Policy*>(owner)->matches(packet);
          },
          false),
      v6_(
          pool_,
          [](const void* owner, const PacketSelectors& packet, bool) {
            return static_cast<const Policy*>(owner)->matches(packet);
          },
          false),
      by_id_(epochs_, seed) {}

Spd::~Spd() {
  by_id_.for_each([](Policy& policy) { delete &policy; });
  v4_.clear();
  v6_.clear();
  epochs_.collect();
}

template <typename V>
void Spd::index(Policy& policy, Classifier<V>& classifier, Rule<V>*& rules) {
  const classifier::BoxOptions options{.device = policy.any_device ? classifier::kEveryDevice : policy.device,
                                       .on_purpose = meant_on_purpose(policy)};
  for (const auto& box : classifier::boxes_of<V>(policy.spec.local, policy.spec.remote, options)) {
    auto* rule = new (rule_pool_.allocate(sizeof(Rule<V>))) Rule<V>(box);
    rule->rank = rank(policy);
    rule->owner = &policy;
    rule->sibling = rules;
    rules = rule;
    classifier.insert(*rule);
  }
}

template <typename V>
void Spd::unindex(Classifier<V>& classifier, Rule<V>* rules) {
  while (rules != nullptr) {
    auto* rule = std::exchange(rules, rules->sibling);
    classifier.erase(*rule);
    rule_pool_.release(rule, sizeof *rule);
  }
}

void Spd::discard(Policy& policy) {
  unindex(v4_, policy.v4_rules);
  unindex(v6_, policy.v6_rules);
  if (regions_ != nullptr) regions_->touch(policy.spec.remote);
  epochs_.retire(
      &policy, sizeof policy, [](void*, void* memory, std::size_t) { delete static_cast<Policy*>(memory); }, nullptr);
}

Policy& Spd::install(const model::PolicySpec& spec, DeviceId device) {
  epochs_.tend();
  auto* old = find(spec.id);
  auto* policy = new Policy();
  policy->spec = spec;
  policy->device = device;
  policy->any_device = spec.device.empty();
  if (old != nullptr) policy->acquire_again = old->acquire_again;
  // The new one is there before the old one goes. (A reader on another thread that comes by just then sees one of them,
  // unless their boxes differ and it has passed the one place and not yet come to the other: it then finds what comes
  // after them, as if the policy were gone.)
  index(*policy, v4_, policy->v4_rules);
  index(*policy, v6_, policy->v6_rules);
  if (old != nullptr) by_id_.erase(spec.id, old);
  by_id_.insert(spec.id, policy);
  if (regions_ != nullptr) regions_->touch(spec.remote);
  if (old != nullptr) discard(*old);
  return *policy;
}

bool Spd::remove(model::PolicyId id) {
  epochs_.tend();
  auto* policy = find(id);
  if (policy == nullptr) return false;
  by_id_.erase(id, policy);
  discard(*policy);
  return true;
}

Policy* Spd::find(const PacketSelectors& packet, DeviceId device) const { return search(packet, device); }
Policy* Spd::find(const PacketSelectors& packet) const { return search(packet, classifier::kEveryDevice); }

Policy* Spd::search(const PacketSelectors& packet, std::uint32_t device) const {
  if (packet.local.family() != packet.remote.family()) return nullptr;  // no packet is
  Hit hit;
  if (packet.remote.is_v4()) {
    const auto query = Query<V4>::of(packet, device);
    v4_.find({&query, 1}, {&hit, 1});
  } else {
    const auto query = Query<V6>::of(packet, device);
    v6_.find({&query, 1}, {&hit, 1});
  }
  return owner_of(hit);
}

// Those of one family; says how many these are.
template <typename V>
std::size_t Spd::find_burst(const Classifier<V>& classifier, std::span<const PacketSelectors> packets,
                            std::span<const DeviceId> devices, std::span<Policy*> found) const {
  std::array<Query<V>, kBurst> queries;
  std::array<std::uint8_t, kBurst> of;
  std::array<Hit, kBurst> hits;
  std::size_t count = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (packets[i].remote.family() != V::kFamily || packets[i].local.family() != V::kFamily) continue;
    queries[count] = Query<V>::of(packets[i], devices[i]);
    of[count++] = static_cast<std::uint8_t>(i);
  }
  if (count == 0) return 0;
  classifier.find(std::span(queries).first(count), hits);
  for (std::size_t k = 0; k < count; ++k) found[of[k]] = owner_of(hits[k]);
  return count;
}

void Spd::find(std::span<const PacketSelectors> packets, std::span<const DeviceId> devices,
               std::span<Policy*> found) const {
  for (std::size_t from = 0; from < packets.size(); from += kBurst) {
    const std::size_t count = std::min(kBurst, packets.size() - from);
    const auto answers = found.subspan(from, count);
    std::ranges::fill(answers, nullptr);
    const auto some = packets.subspan(from, count);
    const auto where = devices.subspan(from, count);
    if (find_burst(v4_, some, where, answers) != count) find_burst(v6_, some, where, answers);
  }
}

std::vector<const Policy*> Spd::ordered() const {
  std::vector<const Policy*> all;
  all.reserve(by_id_.size());
  by_id_.for_each([&](const Policy& policy) { all.push_back(&policy); });
  std::ranges::sort(all, {}, [](const Policy* p) { return rank(*p); });
  return all;
}

}  // namespace cygnet::engine
