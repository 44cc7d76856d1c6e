// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/claims.h"

#include <algorithm>

#include "ike/v2/negotiate.h"
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {
namespace {

std::size_t hash_of(const IpRange& range) {
  const std::hash<IpAddress> hash;
  return hash(range.first) * 31U + hash(range.last);
}

// Whoever asks for all addresses wants a way out, not to be reached at them.
bool names_hosts(const IpRange& range) { return range != IpRange::all(range.first.family()); }

bool protocols_meet(const model::TrafficSelector& a, const model::TrafficSelector& b) {
  return model::narrow({a}, {b}).size() == 1;
}

// The child that has what `mine` asks for, in the name of somebody else.
const ChildSa* rival(const World& world, const IkeSa& sa, const ChildTerms& terms, const model::TrafficSelector& mine,
                     const IkeSa** owner) {
  for (const auto id : world.claims.of(mine.range)) {
    const auto* other = world.find_owner(id);
    if (other == nullptr || other == &sa || other->remote_id == sa.remote_id) continue;
    const auto* child = other->find_child(id);
    if (child == nullptr || !child->usable() || model::narrow(child->local, terms.local).empty()) continue;
    const bool same = std::ranges::any_of(
        child->remote, [&](const auto& theirs) { return theirs.range == mine.range && protocols_meet(theirs, mine); });
    if (!same) continue;
    *owner = other;
    return child;
  }
  return nullptr;
}

}  // namespace

void Claims::add(model::ChildId child, const model::TrafficSelectors& remote) {
  for (const auto& selector : remote) {
    if (names_hosts(selector.range)) children_.emplace(hash_of(selector.range), child);
  }
}

void Claims::remove(model::ChildId child, const model::TrafficSelectors& remote) {
  for (const auto& selector : remote) children_.erase({hash_of(selector.range), child});
}

std::vector<model::ChildId> Claims::of(const IpRange& range) const {
  std::vector<model::ChildId> out;
  const auto hash = hash_of(range);
  for (auto at = children_.lower_bound({hash, {}}); at != children_.end() && at->first == hash; ++at) {
    out.push_back(at->second);
  }
  return out;
}

std::string claimed_by_another(const World& world, const IkeSa& sa, const ChildTerms& terms) {
  if (terms.connection->remote.host.kind != model::HostSpec::Kind::kAny) return {};
  for (const auto& mine : terms.remote) {
    const IkeSa* owner = nullptr;
    const auto* child = rival(world, sa, terms, mine, &owner);
    if (child == nullptr) continue;
    const auto who = "'" + owner->remote_id.to_string() + "' (" + owner->peer() + ", child " + child->name + ")";
    if (terms.mode == model::Mode::kTransport || child->mode == model::Mode::kTransport) {
      return sa.peer() + " asks for transport mode to " + mine.to_string() + ", which " + who +
             " has: behind one NAT only one host can; write type=tunnel, or give them different ports";
    }
    return sa.peer() + " ('" + sa.remote_id.to_string() + "') claims " + mine.to_string() + ", which " + who +
           " has: give each client an address of its own, for example with rightaddresspool=";
  }
  return {};
}

}  // namespace cygnet::ike::v2
