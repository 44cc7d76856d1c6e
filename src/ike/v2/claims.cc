// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/claims.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "ike/v2/negotiate.h"
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {
namespace {

// The smallest prefix around a range.
IpPrefix around(const IpRange& range) {
  const auto a = range.first.bytes();
  const auto b = range.last.bytes();
  std::size_t octet = 0;
  while (octet < a.size() && a[octet] == b[octet]) ++octet;
  auto bits = static_cast<unsigned>(8 * octet);
  if (octet < a.size()) bits += static_cast<unsigned>(std::countl_zero(static_cast<std::uint8_t>(a[octet] ^ b[octet])));
  return IpPrefix(range.first, static_cast<std::uint8_t>(bits));
}

// Exactly this range stands in the configuration: an administrator means it.
bool is_written(const ChildTerms& terms, const IpRange& range) {
  return std::ranges::any_of(terms.connection->children, [&](const model::Child& c) {
    return c.name == terms.child && std::ranges::any_of(c.remote, [&](const auto& ts) { return ts.range == range; });
  });
}

// Whoever asks for all addresses wants a way out, not to be reached at them.
bool names_hosts(const IpRange& range) { return range != IpRange::all(range.first.family()); }

// Addresses that a peer asks for, perhaps with hundreds of ports.
struct Claim {
  IpRange range;
  std::span<const model::TrafficSelector> selectors;  // all of this range

  [[nodiscard]] bool meets(const model::TrafficSelector& theirs) const {
    return theirs.range.intersect(range).has_value() && std::ranges::any_of(selectors, [&](const auto& mine) {
             return model::narrow({mine}, {theirs}).size() == 1;
           });
  }
  [[nodiscard]] std::string to_string() const {
    return selectors.size() == 1 ? selectors.front().to_string() : range.to_string();
  }
};

std::vector<Claim> claims_of(std::span<const model::TrafficSelector> sorted) {
  std::vector<Claim> out;
  while (!sorted.empty()) {
    const auto range = sorted.front().range;
    std::size_t count = 1;
    while (count < sorted.size() && sorted[count].range == range) ++count;
    out.push_back({range, sorted.first(count)});
    sorted = sorted.subspan(count);
  }
  return out;
}

// Of how many others' ranges it is asked whether they meet what a peer asks for. Hundreds of ranges around thousands of
// networks of others would keep all other peers waiting.
struct Budget {
  static constexpr std::size_t kLeast = 20'000;
  // Many connections may have one wide range: each meets whatever their peers ask for.
  static constexpr std::size_t kEach = 16;

  std::size_t left = kLeast;
  bool spent = false;

  template <typename Owner>
  [[nodiscard]] std::vector<Owner> meeting(const RangesOf<Owner>& all, const IpRange& range) {
    auto out = all.meeting(range, left);
    spent = spent || out.size() > left;
    left -= std::min(left, out.size());
    return out;
  }
};

// The child that has what `mine` asks for, in the name of somebody else.
const ChildSa* rival(const World& world, const IkeSa& sa, const ChildTerms& terms, const Claim& mine, Budget& budget,
                     const IkeSa** owner) {
  // What is written may lie around what somebody else has.
  const bool written = is_written(terms, mine.range);
  for (const auto id :
       written ? world.claims.beginning_at(mine.range.first) : budget.meeting(world.claims, mine.range)) {
    const auto* other = world.find_owner(id);
    // RFC 7619 section 2.1: without authentication two peers of one name are not one peer.
    const bool same_peer =
        other != nullptr && other->remote_id == sa.remote_id && sa.remote_id.type != model::IdType::kNull;
    if (other == nullptr || other == &sa || same_peer) continue;
    const auto* child = other->find_child(id);
    if (child == nullptr || !child->usable() || model::narrow(child->local, terms.local).empty()) continue;
    const bool same = std::ranges::any_of(child->remote, [&](const auto& theirs) {
      return (theirs.range == mine.range || !written) && mine.meets(theirs);
    });
    if (!same) continue;
    *owner = other;
    return child;
  }
  return nullptr;
}

bool names_nobody(const model::Connection& connection) {
  return connection.remote.host.kind == model::HostSpec::Kind::kAny;
}

// Wherever it comes from: one name, or the names of a group, are asked for.
bool is_anybody(const model::Connection& connection) {
  return names_nobody(connection) && (!connection.remote.id || connection.remote.id_any);
}

// Whether two connections have an address in common.
bool ranges_meet(const std::vector<ConnectionPtr>& connections) {
  std::vector<std::pair<IpRange, std::size_t>> all;
  for (std::size_t place = 0; place < connections.size(); ++place) {
    for (const auto& child : connections[place]->children) {
      for (const auto& ts : child.remote) all.emplace_back(ts.range, place);
    }
    for (const auto& pool : connections[place]->remote.pools) all.emplace_back(pool.range, place);
  }
  std::ranges::sort(all);
  std::size_t widest = 0;  // that reaches farthest of those before
  for (std::size_t i = 1; i < all.size(); ++i) {
    const auto& [range, place] = all[i];
    if (all[widest].first.contains(range.first) && all[widest].second != place) return true;
    if (all[widest].first.first.family() != range.first.family() || all[widest].first.last < range.last) widest = i;
  }
  return false;
}

bool is_ours_to_give(const IkeSa& sa, const IpRange& range) {
  const auto& given = sa.assigned.addresses;
  return sa.assigned.by_us && std::ranges::any_of(given, [&](const auto& a) { return range == IpRange::of(a); });
}

// The narrowest range that the configuration has for this child around these addresses.
IpRange written_around(const ChildTerms& terms, const IpRange& range) {
  std::optional<IpRange> out;
  for (const auto& child : terms.connection->children) {
    if (child.name != terms.child) continue;
    for (const auto& ts : child.remote) {
      if (ts.range.contains(range) && (!out || out->contains(ts.range))) out = ts.range;
    }
  }
  return out.value_or(range);
}

// Identities match by rules of their own, and one may be a pattern.
bool may_be_its_peer(const model::Connection& connection, const IkeSa& sa) {
  const auto& remote = connection.remote;
  if (remote.id && !remote.id_any) return remote.id->covers(sa.remote_id);
  const auto is_here = [&](const model::HostSpec& host) {
    return host.has_address() && host.address == sa.path.remote.address;
  };
  return is_here(remote.host) || std::ranges::any_of(remote.alternatives, is_here);
}

// The connection with a certain peer for which the configuration has these addresses, or some of them, in a narrower
// range than for this one: what is written most closely says whose they are. That connection need not be up: whoever is
// there first would take them away from it.
const model::Connection* named_owner(const World& world, const IkeSa& sa, const ChildTerms& terms, const Claim& mine,
                                     Budget& budget) {
  const bool open = names_nobody(*terms.connection);
  const auto around = written_around(terms, mine.range);
  const auto takes = [&](const model::Connection& other, const model::Child& child) {
    // Of one range that is written for the peers of several names each may have a part.
    const bool even_the_same = open && !names_nobody(other);
    return std::ranges::any_of(child.remote,
                               [&](const auto& theirs) {
                                 const bool closer =
                                     around.contains(theirs.range) && (even_the_same || around != theirs.range);
                                 // What lies around it takes nothing away: the narrower policy goes first.
                                 const bool wider = mine.range != theirs.range && mine.range.contains(theirs.range);
                                 return closer && !wider && names_hosts(theirs.range) && mine.meets(theirs);
                               }) &&
           !model::narrow(child.local, terms.local).empty();
  };
  // Whoever it was given to, or will be.
  const auto gives = [&](const model::AddressPool& pool) {
    const bool wider = mine.range != pool.range && mine.range.contains(pool.range);
    return !wider && pool.range.intersect(mine.range).has_value();
  };
  for (const auto place : budget.meeting(world.named_ranges, mine.range)) {
    const auto& other = world.named_at(place);
    const auto takes_it = [&](const model::Child& child) { return takes(other, child); };
    const bool has = std::ranges::any_of(other.children, takes_it) || std::ranges::any_of(other.remote.pools, gives);
    if (has && other.name != terms.connection->name && !may_be_its_peer(other, sa)) return &other;
  }
  return nullptr;
}

// Networks at this end: what the child has here and this machine's addresses. Where it names none, what other
// connections have here counts, if this machine is in it: else it may lie behind a peer, and be passed on.
std::vector<IpRange> networks_of_ours(const World& world, const ChildTerms& terms) {
  const auto we_are_in = [&](const IpRange& network) {
    return std::ranges::any_of(world.local_addresses, [&](const IpAddress& own) { return network.contains(own); });
  };
  std::set<IpRange> seen;
  std::vector<IpRange> out;
  const auto look_at = [&](const model::Connection& connection) {
    for (const auto& child : connection.children) {
      const bool itself = &connection == terms.connection.get() && child.name == terms.child;
      for (const auto& ours : child.local) {
        if (!names_hosts(ours.range)) continue;
        if (itself || (seen.insert(ours.range).second && we_are_in(ours.range))) out.push_back(ours.range);
      }
    }
  };
  look_at(*terms.connection);
  if (out.empty()) {
    for (const auto& connection : world.connections) look_at(*connection);
  }
  for (const auto& own : world.local_addresses) out.push_back(IpRange::of(own));
  return out;
}

// Addresses of this end, out of a larger range that is left open to peers. A known peer may have all addresses.
bool is_at_our_end(const std::vector<IpRange>& networks, const ChildTerms& terms, const IpRange& range) {
  const auto is_left_open = [&](const IpRange& ours) {
    const auto around = [&](const model::TrafficSelector& theirs) {
      return theirs.range != ours && theirs.range.contains(ours) &&
             (names_hosts(theirs.range) || names_nobody(*terms.connection));
    };
    return std::ranges::any_of(terms.connection->children, [&](const model::Child& child) {
      return child.name == terms.child && std::ranges::any_of(child.remote, around);
    });
  };
  return std::ranges::any_of(networks, [&](const IpRange& ours) { return ours.contains(range) && is_left_open(ours); });
}

// Why nobody else may have this: the configuration says whose it is.
std::string said_otherwise(const World& world, const IkeSa& sa, const ChildTerms& terms, const Claim& mine,
                           std::optional<std::vector<IpRange>>& ours, Budget& budget) {
  if (!names_hosts(mine.range) || is_written(terms, mine.range) || is_ours_to_give(sa, mine.range)) return {};
  const auto claim = sa.peer() + " ('" + sa.remote_id.to_string() + "') claims " + mine.to_string() + ", ";
  if (const auto* other = named_owner(world, sa, terms, mine, budget)) {
    return claim + "which connection " + other->name +
           " says is behind its own peer: write a rightsubnet= without it, or exactly that if it is meant";
  }
  if (!ours) ours = networks_of_ours(world, terms);
  if (is_at_our_end(*ours, terms, mine.range)) {
    return claim +
           "which is on this side, as leftsubnet= or this machine's addresses say: write a rightsubnet= without it, or "
           "give clients addresses of it with rightaddresspool=";
  }
  return {};
}

// RFC 3948 section 5.2: in UDP the engine tells hosts behind one NAT apart by the SA, whatever ports they use. One of
// two that use the same gets another, so the selectors must have room for it, and one policy must cover both.
bool can_be_told_apart(const IkeSa& sa, const ChildTerms& terms, const IkeSa& owner, const ChildSa& child) {
  return terms.mode == model::Mode::kTransport && child.mode == model::Mode::kTransport && sa.udp_encapsulation &&
         owner.udp_encapsulation && terms.connection->name == child.connection->name && terms.child == child.name &&
         terms.local == child.local && terms.remote == child.remote &&
         std::ranges::all_of(terms.remote, [](const auto& selector) { return selector.all_ports(); });
}

}  // namespace

template <typename Owner>
void RangesOf<Owner>::add(Owner owner, const model::TrafficSelectors& ranges) {
  for (const auto& selector : ranges) {
    if (!names_hosts(selector.range)) continue;
    by_first_.emplace(selector.range.first, owner);
    const auto prefix = around(selector.range);
    const bool fresh = by_prefix_.emplace(prefix.length, prefix.network(), owner).second;
    if (fresh) ++lengths_[{selector.range.first.family(), prefix.length}];
  }
}

template <typename Owner>
void RangesOf<Owner>::remove(Owner owner, const model::TrafficSelectors& ranges) {
  for (const auto& selector : ranges) {
    by_first_.erase({selector.range.first, owner});
    const auto prefix = around(selector.range);
    if (by_prefix_.erase({prefix.length, prefix.network(), owner}) == 0) continue;
    const auto length = lengths_.find({selector.range.first.family(), prefix.length});
    if (--length->second == 0) lengths_.erase(length);
  }
}

template <typename Owner>
std::vector<Owner> RangesOf<Owner>::meeting(const IpRange& range, std::size_t most) const {
  std::vector<Owner> out;
  for (auto at = by_first_.lower_bound({range.first, {}}); at != by_first_.end() && at->first <= range.last; ++at) {
    if (out.size() > most) return out;
    out.push_back(at->second);
  }
  const auto family = range.first.family();
  for (const auto& [key, count] : lengths_) {
    if (key.first != family) continue;
    const auto network = IpPrefix(range.first, key.second).network();
    auto at = by_prefix_.lower_bound({key.second, network, {}});
    for (; at != by_prefix_.end() && std::get<0>(*at) == key.second && std::get<1>(*at) == network; ++at) {
      if (out.size() > most) return out;
      out.push_back(std::get<2>(*at));
    }
  }
  std::ranges::sort(out);
  const auto twice = std::ranges::unique(out);
  out.erase(twice.begin(), twice.end());
  return out;
}

template <typename Owner>
std::vector<Owner> RangesOf<Owner>::beginning_at(const IpAddress& first) const {
  std::vector<Owner> out;
  for (auto at = by_first_.lower_bound({first, {}}); at != by_first_.end() && at->first == first; ++at)
    out.push_back(at->second);
  return out;
}

template class RangesOf<model::ChildId>;
template class RangesOf<std::size_t>;

NamedRanges ranges_of_named_peers(const std::vector<ConnectionPtr>& connections) {
  NamedRanges out;
  if (!ranges_meet(connections)) return out;
  for (std::size_t place = 0; place < connections.size(); ++place) {
    for (const auto& pool : connections[place]->remote.pools) out.add(place, {model::TrafficSelector::of(pool.range)});
    if (is_anybody(*connections[place])) continue;
    for (const auto& child : connections[place]->children) out.add(place, child.remote);
  }
  return out;
}

std::string claimed_by_another(const World& world, const IkeSa& sa, const ChildTerms& terms) {
  const bool open = names_nobody(*terms.connection);
  auto sorted = terms.remote;
  std::ranges::sort(sorted);
  std::optional<std::vector<IpRange>> ours;
  Budget budget{.left = Budget::kLeast + Budget::kEach * world.connections.size()};
  for (const auto& mine : claims_of(sorted)) {
    if (auto why = said_otherwise(world, sa, terms, mine, ours, budget); !why.empty()) return why;
    const IkeSa* owner = nullptr;
    // What an administrator wrote for two known peers is meant.
    const auto* child = open ? rival(world, sa, terms, mine, budget, &owner) : nullptr;
    if (budget.spent) {
      return sa.peer() + " ('" + sa.remote_id.to_string() +
             "') asks for so many addresses, around so many networks of others, that not all of it is looked at: "
             "write a rightsubnet= of what is behind it";
    }
    if (child == nullptr) continue;
    // RFC 3948 section 5.2: in UDP the engine tells hosts behind one NAT apart by the SA, whatever ports they use.
    if (can_be_told_apart(sa, terms, *owner, *child)) continue;
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
