// SPDX-License-Identifier: Apache-2.0
#include "policy/policy_table.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <string_view>
#include <unordered_set>

#include "model/everything.h"

namespace cygnet::policy {

namespace {

constexpr std::uint32_t kFirstOrder = 1000;
constexpr std::uint32_t kRemainderOrder = 0x40000000;

// How many bits of an address a range leaves open: 0 for one address.
std::uint32_t open_bits(const IpRange& range) {
  const auto a = range.first.bytes();
  const auto b = range.last.bytes();
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto differ = static_cast<std::uint8_t>(a[i] ^ b[i]);
    if (differ != 0) {
      return static_cast<std::uint32_t>((a.size() - i) * 8) - static_cast<std::uint32_t>(std::countl_zero(differ));
    }
  }
  return 0;
}

// IPv4 counts as the narrow end of IPv6: lists of both families have one width.
std::uint32_t width_of(const model::TrafficSelectors& selectors) {
  std::uint32_t widest = 0;
  for (const auto& s : selectors) {
    widest = std::max(widest, open_bits(s.range) * 4 + (s.protocol == 0 ? 2U : 0U) + (s.all_ports() ? 1U : 0U));
  }
  return widest;
}

bool is_protecting(const model::PolicySpec& spec) { return spec.action == model::PolicyAction::kProtect; }

bool all_traffic(const model::TrafficSelector& s) { return s.protocol == 0 && s.all_ports(); }

model::TrafficSelectors host_selector(const model::HostSpec& host) {
  if (!host.has_address() || host.address.is_unspecified()) {
    return {};
  }
  return {model::TrafficSelector::of(IpRange::of(host.address))};
}

// A selector written without an address ("the peer's own", with a port) is known once the host is.
bool complete(const model::TrafficSelectors& selectors) { return !selectors.empty(); }

bool holds_packets(model::StartAction start) {
  return start == model::StartAction::kOnDemand || start == model::StartAction::kStart;
}

// When its peer has died (ike::HoldChild).
bool is_held_when_dead(const model::Connection& connection, const model::Child& child) {
  return child.start == model::StartAction::kAdd && (connection.dpd_action == model::DeadPeerAction::kHold ||
                                                     connection.dpd_action == model::DeadPeerAction::kRestart);
}

// Each child alone may hold back no more than a part. One without which the rest is everything all the same can hold.
template <typename Which>
bool has_part_in_everything(const model::Connection& connection, const model::Child& child, Which which) {
  const auto other = [&](const model::Child& c) { return which(c) && &c != &child; };
  return model::take_all_addresses(child.remote) || (model::take_all_addresses(model::remote_of(connection, which)) &&
                                                     !model::take_all_addresses(model::remote_of(connection, other)));
}

// Where the peer is must be asked for first, in vain so far.
bool has_unknown_peer(const model::Connection& connection) {
  const auto& peer = connection.remote;
  return peer.host.kind == model::HostSpec::Kind::kName && !peer.host.resolved &&
         std::ranges::none_of(peer.alternatives, &model::HostSpec::has_address);
}

// What is kept up by itself must be able to ask for its peer's name, and whether its certificate is revoked: to hold
// back everything would hold back these questions.
bool needs_the_network(const model::Connection& connection, const model::Child& child, bool asks_beside) {
  const auto& peer = connection.remote;
  const bool asks_for_name = peer.host.kind == model::HostSpec::Kind::kName && !asks_beside;
  const bool asks_first = peer.auth == model::AuthMethod::kSignature && peer.revocation == model::Revocation::kStrict;
  const auto kept_up = [](const model::Child& c) { return c.start == model::StartAction::kStart; };
  return kept_up(child) && (asks_first || asks_for_name) && has_part_in_everything(connection, child, kept_up);
}

}  // namespace

void Changes::append(Changes other) {
  install.insert(install.end(), std::make_move_iterator(other.install.begin()),
                 std::make_move_iterator(other.install.end()));
  remove.insert(remove.end(), std::make_move_iterator(other.remove.begin()),
                std::make_move_iterator(other.remove.end()));
}

std::uint32_t order_of(const model::TrafficSelectors& local, const model::TrafficSelectors& remote, bool acquire,
                       bool stands_back) {
  return kFirstOrder + (width_of(local) + width_of(remote)) * 4 + (stands_back ? 2U : 0U) + (acquire ? 1U : 0U);
}

namespace {

template <typename Which>
bool holds_questions(const model::Connection& connection, Which holds) {
  const auto named = [](const model::End& end) {
    const auto is_name = [](const model::HostSpec& host) { return host.kind == model::HostSpec::Kind::kName; };
    return is_name(end.host) || std::ranges::any_of(end.alternatives, is_name);
  };
  // Which end is the peer's may not be known yet.
  return (named(connection.local) || named(connection.remote)) &&
         std::ranges::any_of(connection.children, [&](const model::Child& child) {
           return holds(child) && has_part_in_everything(connection, child, holds);
         });
}

}  // namespace

bool holds_its_questions(const model::Connection& connection) {
  return holds_questions(connection, [](const model::Child& c) { return holds_packets(c.start); });
}

bool holds_its_questions_when_dead(const model::Connection& connection) {
  return holds_questions(
      connection, [&](const model::Child& c) { return holds_packets(c.start) || is_held_when_dead(connection, c); });
}

model::TrafficSelectors local_selectors(const model::Connection& connection, const model::Child& child,
                                        bool asks_beside) {
  if (!child.local.empty()) return child.local;
  const bool asks = connection.local.requests_address();
  auto own = asks ? model::TrafficSelectors{} : host_selector(connection.local.host);
  if (!own.empty() || !holds_packets(child.start)) return own;
  if (asks && needs_the_network(connection, child, asks_beside)) return own;
  // The address is not known before the peer has assigned it, or before there is a route to the peer: meanwhile any
  // packet is held back, and is the sign to begin.
  const auto remote = remote_selectors(connection, child);
  const auto add_all = [&](Family family, bool asked) {
    const auto is_of = [&](const auto& selector) { return selector.range.first.family() == family; };
    const bool meant = asks ? asked : std::ranges::any_of(remote, is_of);
    if (meant) own.push_back(model::TrafficSelector::of(IpRange::all(family)));
  };
  add_all(Family::kV4, connection.local.request_ip4);
  add_all(Family::kV6, connection.local.request_ip6);
  return own;
}

model::TrafficSelectors remote_selectors(const model::Connection& connection, const model::Child& child) {
  return child.remote.empty() ? host_selector(connection.remote.host) : child.remote;
}

PolicyTable::Key PolicyTable::key_of(const model::PolicySpec& spec) {
  return {spec.connection, spec.child_name, spec.local, spec.remote, spec.action};
}

model::PolicyId PolicyTable::new_id() { return model::PolicyId(next_id_++); }

void PolicyTable::adopt(const std::vector<model::PolicySpec>& policies, const std::vector<model::SaSpec>& sas) {
  std::map<model::PolicyId, Key> by_id;
  for (const auto& policy : policies) {
    next_id_ = std::max(next_id_, policy.id.value + 1);
    auto& entry = entries_[key_of(policy)];
    entry.spec = policy;
    entry.stands_back =
        is_protecting(policy) && policy.order == order_of(policy.local, policy.remote, policy.acquire, true);
    by_id_[policy.id] = &entry;
    by_id[policy.id] = key_of(policy);
  }
  for (const auto& sa : sas) {
    const auto it = by_id.find(sa.policy);
    if (sa.direction == model::Direction::kOutbound && it != by_id.end()) {
      entries_[it->second].users.insert(sa.child);
      used_by_[sa.child].push_back(sa.policy);
    }
  }
  for (auto& [key, entry] : entries_) {
    if (entry.spec.acquire && entry.users.empty()) held_.emplace(entry.spec.connection, entry.spec.child_name);
    line_up(entry);
  }
  adopted_ = true;
}

std::optional<model::Connection> PolicyTable::as_held(const model::Connection& connection) {
  const auto first = held_.lower_bound({connection.name, {}});
  if (first == held_.end() || first->first != connection.name) return std::nullopt;
  auto out = connection;
  for (auto it = first; it != held_.end() && it->first == connection.name;) {
    const auto child = std::ranges::find(out.children, it->second, &model::Child::name);
    const bool meant = child != out.children.end() && is_held_when_dead(connection, *child);
    if (meant) child->start = model::StartAction::kOnDemand;
    it = meant ? std::next(it) : held_.erase(it);
  }
  return out;
}

Changes PolicyTable::hold(const model::Connection& connection, const std::string& child) {
  Changes changes;
  held_.emplace(connection.name, child);
  configure_one(connection, changes);
  return changes;
}

Changes PolicyTable::release(const std::string& connection, const std::string& child) {
  Changes changes;
  for (auto held = held_.lower_bound({connection, child}); held != held_.end() && held->first == connection;) {
    if (!child.empty() && held->second != child) break;
    const auto [first, last] = of_connection(connection);
    for (auto it = first; it != last; ++it) {
      if (it->second.spec.child_name == held->second) it->second.configured = false;
    }
    held = held_.erase(held);
    remove_unneeded(first, last, changes);
  }
  return changes;
}

PolicyTable::Entry& PolicyTable::need(model::PolicySpec spec, Changes& changes) {
  auto [it, fresh] = entries_.try_emplace(key_of(spec));
  auto& entry = it->second;
  if (!fresh) step_out(entry);
  // A policy that holds packets keeps doing so while SAs come and go under it.
  spec.acquire = spec.acquire || (!fresh && entry.configured && entry.spec.acquire);
  if (!fresh && spec.outer_remote.is_unspecified()) {
    spec.outer_local = entry.spec.outer_local;
    spec.outer_remote = entry.spec.outer_remote;
  }
  spec.id = fresh ? new_id() : entry.spec.id;
  if (fresh) {
    by_id_[spec.id] = &entry;
  }
  if (is_protecting(spec)) {
    if (fresh) entry.stands_back = twin_from({.spec = &spec, .id = {}}) != nullptr;
    spec.order = order_of(spec.local, spec.remote, spec.acquire, entry.stands_back);
  }
  if (fresh || entry.spec != spec) {
    entry.spec = spec;
    changes.install.push_back(std::move(spec));
  }
  line_up(entry);
  return entry;
}

// Routes know addresses only. Where a policy protects some protocols or ports of a network, the others come to the
// engine as well; the administrator did not ask for their protection, so they go on in the clear (RFC 4301
// section 4.4.1: BYPASS).
void PolicyTable::need_clear_remainder(const model::PolicySpec& spec, bool configured,
                                       std::optional<model::ChildId> user, Changes& changes) {
  model::PolicySpec clear{.action = model::PolicyAction::kBypass,
                          .mode = spec.mode,
                          .device = spec.device,
                          .connection = spec.connection,
                          .child_name = spec.child_name};
  for (const auto& remote : spec.remote) {
    const bool limited =
        !all_traffic(remote) || std::ranges::any_of(spec.local, [](const auto& l) { return !all_traffic(l); });
    if (limited) {
      clear.remote.push_back(model::TrafficSelector::of(remote.range));
      clear.local = {model::TrafficSelector::of(IpRange::all(Family::kV4)),
                     model::TrafficSelector::of(IpRange::all(Family::kV6))};
    }
  }
  if (clear.remote.empty()) {
    return;
  }
  clear.order = kRemainderOrder + width_of(clear.remote);
  auto& entry = need(clear, changes);
  entry.configured = entry.configured || configured;
  if (user) {
    entry.users.insert(*user);
    used_by_[*user].push_back(entry.spec.id);
  }
}

Changes PolicyTable::configure(const std::vector<model::Connection>& connections) {
  Changes changes;
  for (auto& [key, entry] : entries_) {
    entry.configured = false;
  }
  std::unordered_set<std::string_view> names;
  for (const auto& connection : connections) names.insert(connection.name);
  std::erase_if(held_, [&](const auto& held) { return !names.contains(held.first); });
  for (const auto& connection : connections) configure_one(connection, changes);
  remove_unneeded(entries_.begin(), entries_.end(), changes);
  if (std::exchange(adopted_, false)) {
    for (auto& [key, entry] : entries_) {
      if (!is_protecting(entry.spec)) continue;
      choose_leader(entry.spec, changes);
      const auto order = order_of(entry.spec.local, entry.spec.remote, entry.spec.acquire, entry.stands_back);
      if (entry.spec.order != order) reorder(entry, changes);
    }
  }
  return changes;
}

void PolicyTable::configure_one(const model::Connection& given, Changes& changes) {
  const auto held = as_held(given);
  const auto& connection = held ? *held : given;
  const bool asks_beside = asks_beside_(connection);
  for (const auto& child : connection.children) {
    // A name without an address yet holds packets back: what is protected does not depend on where the peer is. Nor
    // does a peer that was here, and comes from anywhere.
    const auto& peer = connection.remote.host;
    const auto* written = given.find_child(child.name);
    const bool was_here = written->start == model::StartAction::kAdd && !child.remote.empty();
    const bool has_peer = peer.has_address() || peer.kind == model::HostSpec::Kind::kName || was_here;
    if (!holds_packets(child.start) || !has_peer) continue;
    // The question for the name would be held back as well, for ever.
    const auto holds = [](const model::Child& c) { return holds_packets(c.start); };
    if (!asks_beside && has_unknown_peer(connection) && has_part_in_everything(connection, child, holds)) continue;
    const model::PolicySpec spec{.local = local_selectors(connection, child, asks_beside),
                                 .remote = remote_selectors(connection, child),
                                 .mode = child.mode,
                                 .device = child.device,
                                 .acquire = true,
                                 .connection = connection.name,
                                 .child_name = child.name,
                                 .protocol = child.protocol,
                                 .outer_local = connection.local.host.address,
                                 .outer_remote = connection.remote.host.address};
    if (!complete(spec.local) || !complete(spec.remote)) continue;
    need(spec, changes).configured = true;
    need_clear_remainder(spec, true, std::nullopt, changes);
  }
}

Changes PolicyTable::reconfigure(const std::vector<model::Connection>& changed, const std::vector<std::string>& gone) {
  Changes changes;
  auto names = gone;
  for (const auto& connection : changed) names.push_back(connection.name);
  for (const auto& name : names) {
    const auto [first, last] = of_connection(name);
    for (auto it = first; it != last; ++it) it->second.configured = false;
  }
  for (const auto& name : gone) {
    const auto first = held_.lower_bound({name, {}});
    held_.erase(first, std::find_if(first, held_.end(), [&](const auto& held) { return held.first != name; }));
  }
  for (const auto& connection : changed) configure_one(connection, changes);
  for (const auto& name : names) {
    const auto [first, last] = of_connection(name);
    remove_unneeded(first, last, changes);
  }
  return changes;
}

std::pair<PolicyTable::Place, PolicyTable::Place> PolicyTable::of_connection(const std::string& name) {
  const auto first = entries_.lower_bound(Key{name, {}, {}, {}, model::PolicyAction{}});
  auto last = first;
  while (last != entries_.end() && std::get<0>(last->first) == name) ++last;
  return {first, last};
}

void PolicyTable::remove_unneeded(Place first, Place last, Changes& changes) {
  const auto known = changes.remove.size();
  for (auto it = first; it != last;) {
    auto& entry = it->second;
    if (!entry.configured && entry.users.empty()) {
      changes.remove.push_back(entry.spec);
      it = erase(it);
      continue;
    }
    // Used by an SA only: without it, nothing is to be held.
    if (!entry.configured && entry.spec.acquire) {
      entry.spec.acquire = false;
      reorder(entry, changes);
    }
    ++it;
  }
  for (auto i = known; i < changes.remove.size(); ++i) choose_leader(changes.remove[i], changes);
}

std::pair<model::PolicyId, Changes> PolicyTable::on_sa_installing(const model::SaSpec& sa) {
  Changes changes;
  const model::PolicySpec spec{.local = sa.local_selectors,
                               .remote = sa.remote_selectors,
                               .mode = sa.mode,
                               .device = sa.device,
                               .connection = sa.connection,
                               .child_name = sa.child_name,
                               .protocol = sa.protocol,
                               .outer_local = sa.local.address,
                               .outer_remote = sa.remote.address};
  auto& entry = need(spec, changes);
  step_out(entry);
  entry.users.insert(sa.child);
  line_up(entry);
  used_by_[sa.child].push_back(entry.spec.id);
  const auto id = entry.spec.id;
  choose_leader(entry.spec, changes);
  need_clear_remainder(spec, false, sa.child, changes);
  return {id, std::move(changes)};
}

Changes PolicyTable::on_sa_removed(model::ChildId child) {
  Changes changes;
  const auto used = used_by_.find(child);
  if (used == used_by_.end()) {
    return changes;
  }
  for (const auto id : used->second) {
    const auto* policy = find(id);
    const auto it = policy == nullptr ? entries_.end() : entries_.find(key_of(*policy));
    if (it == entries_.end()) {
      continue;
    }
    auto& entry = it->second;
    step_out(entry);
    entry.users.erase(child);
    line_up(entry);
    if (!entry.configured && entry.users.empty()) {
      changes.remove.push_back(entry.spec);
      erase(it);
      choose_leader(changes.remove.back(), changes);
    } else {
      choose_leader(entry.spec, changes);
    }
  }
  used_by_.erase(used);
  return changes;
}

PolicyTable::Place PolicyTable::erase(Place it) {
  step_out(it->second);
  by_id_.erase(it->second.spec.id);
  return entries_.erase(it);
}

// ---- policies with the same selectors
bool PolicyTable::Rank::operator<(const Rank& other) const {
  const auto order = selectors() <=> other.selectors();
  return order != 0 ? order < 0 : std::tie(idle, stands_back, id) < std::tie(other.idle, other.stands_back, other.id);
}

PolicyTable::Rank PolicyTable::rank_of(const Entry& entry) {
  return {.spec = &entry.spec, .idle = entry.users.empty(), .stands_back = entry.stands_back, .id = entry.spec.id};
}

void PolicyTable::line_up(Entry& entry) {
  if (is_protecting(entry.spec)) lined_up_.emplace(rank_of(entry), &entry);
}

void PolicyTable::step_out(const Entry& entry) { lined_up_.erase(rank_of(entry)); }

PolicyTable::Entry* PolicyTable::twin_from(const Rank& rank) const {
  const auto it = lined_up_.lower_bound(rank);
  return it != lined_up_.end() && it->first.selectors() == rank.selectors() ? it->second : nullptr;
}

void PolicyTable::reorder(Entry& entry, Changes& changes) {
  entry.spec.order = order_of(entry.spec.local, entry.spec.remote, entry.spec.acquire, entry.stands_back);
  auto& all = changes.install;
  if (!all.empty() && all.back().id == entry.spec.id) {
    all.back() = entry.spec;
  } else {
    all.push_back(entry.spec);
  }
}

void PolicyTable::stand_back(Entry& entry, bool back, Changes& changes) {
  step_out(entry);
  entry.stands_back = back;
  line_up(entry);
  reorder(entry, changes);
}

// Packets go over at once, and stay: whoever comes back does not take them away again. Those that stand back are there
// all the time, so nothing leaves in the clear meanwhile.
void PolicyTable::choose_leader(const model::PolicySpec& spec, Changes& changes) {
  auto* const leader = twin_from({.spec = &spec, .id = {}});
  if (leader == nullptr) return;
  if (leader->stands_back) stand_back(*leader, false, changes);
  auto behind = rank_of(*leader);
  ++behind.id.value;
  const Rank idle{.spec = &spec, .idle = true, .id = behind.idle ? behind.id : model::PolicyId{}};
  for (const auto& from : {behind, idle}) {
    for (auto* other = twin_from(from); other != nullptr && !other->stands_back; other = twin_from(from)) {
      stand_back(*other, true, changes);
    }
  }
}

Changes PolicyTable::pass_on(model::PolicyId id, const std::function<bool(const std::string& connection)>& usable) {
  Changes changes;
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return changes;
  auto& entry = *it->second;
  if (!is_protecting(entry.spec) || !entry.users.empty() || entry.stands_back) return changes;
  // It leads without an SA, so none of the others has one. Each gets its turn.
  Entry* next = nullptr;
  for (const auto from : {id, model::PolicyId{}}) {
    Rank rank{.spec = &entry.spec, .idle = true, .stands_back = true, .id = from};
    for (next = twin_from(rank); next != nullptr && !usable(next->spec.connection); next = twin_from(rank)) {
      rank.id = model::PolicyId(next->spec.id.value + 1);
    }
    if (next != nullptr) break;
  }
  if (next == nullptr) return changes;
  stand_back(*next, false, changes);
  stand_back(entry, true, changes);
  return changes;
}

const model::PolicySpec* PolicyTable::find(model::PolicyId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &it->second->spec;
}

std::vector<model::ChildId> PolicyTable::children_of(model::PolicyId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? std::vector<model::ChildId>{}
                            : std::vector(it->second->users.begin(), it->second->users.end());
}

std::vector<const model::PolicySpec*> PolicyTable::all() const {
  std::vector<const model::PolicySpec*> out;
  out.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) out.push_back(&entry.spec);
  return out;
}

std::vector<model::PolicyId> PolicyTable::acquiring(const std::string& connection, const std::string& child) const {
  std::vector<model::PolicyId> out;
  // `child` empty: the first of all of the connection's.
  for (auto it = entries_.lower_bound(Key{connection, child, {}, {}, model::PolicyAction{}});
       it != entries_.end() && std::get<0>(it->first) == connection; ++it) {
    const auto& spec = it->second.spec;
    if (!child.empty() && spec.child_name != child) {
      break;
    }
    if (spec.acquire) {
      out.push_back(spec.id);
    }
  }
  return out;
}

}  // namespace cygnet::policy
