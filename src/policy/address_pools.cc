// SPDX-License-Identifier: Apache-2.0
#include "policy/address_pools.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <utility>

namespace cygnet::policy {

namespace {

constexpr std::uint64_t kMostProbes = 1ULL << 20U;  // a larger range is not searched to its end

std::string key_of(const model::Identity& peer) {
  std::string key(1, static_cast<char>(peer.type));
  for (const auto octet : peer.data) {
    const bool folds = peer.type == model::IdType::kFqdn || peer.type == model::IdType::kRfc822Addr;
    const bool upper = folds && octet >= 'A' && octet <= 'Z';
    key.push_back(static_cast<char>(upper ? octet + ('a' - 'A') : octet));
  }
  return key;
}

// FNV-1a: the same in every build, which std::hash need not be.
std::uint64_t spread(const std::string& key) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : key) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
  return hash ^ (hash >> 32U);
}

IpAddress plus(const IpAddress& address, std::uint64_t n) {
  std::array<std::uint8_t, 16> bytes{};
  const auto from = address.bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  for (std::size_t i = from.size(); i-- > 0 && n != 0;) {
    n += bytes[i];
    bytes[i] = static_cast<std::uint8_t>(n);
    n >>= 8U;
  }
  return IpAddress::from_bytes({bytes.data(), from.size()});
}

}  // namespace

std::uint64_t size_of(const IpRange& range) {
  constexpr std::uint64_t kMost = 1ULL << 32U;
  const auto a = range.first.bytes();
  const auto b = range.last.bytes();
  std::uint64_t difference = 0;
  int borrow = 0;
  std::array<std::uint8_t, 16> digits{};
  for (std::size_t i = a.size(); i-- > 0;) {
    const int d = int{b[i]} - int{a[i]} - borrow;
    borrow = d < 0 ? 1 : 0;
    digits[i] = static_cast<std::uint8_t>(d);
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = (difference << 8U) | digits[i];
    if (difference >= kMost) return kMost;
  }
  return difference + 1;
}

void AddressPools::set_apart(const std::vector<model::Connection>& connections, const std::vector<IpAddress>& own) {
  apart_.clear();
  std::set<IpRange> pools;
  std::vector<IpRange> written;
  for (const auto& c : connections) {
    for (const auto& pool : c.remote.pools) {
      if (!pool.is_single()) pools.insert(pool.range);
    }
    // What is written beside a pool of one's own is for whom that is.
    const auto given = [&](const IpRange& range) {
      return std::ranges::any_of(c.remote.pools,
                                 [&](const auto& pool) { return pool.range.intersect(range).has_value(); });
    };
    for (const auto& child : c.children) {
      for (const auto& theirs : child.remote) {
        if (!given(theirs.range)) written.push_back(theirs.range);
      }
    }
  }
  if (pools.empty()) return;
  for (const auto& address : own) written.push_back(IpRange::of(address));
  std::ranges::sort(written);
  std::vector<IpRange> inside;
  for (const auto& pool : pools) {
    // The pool of a wider network is meant.
    for (auto at = written.begin(); at != written.end() && at->first <= pool.last; ++at) {
      const auto part = at->contains(pool) ? std::nullopt : at->intersect(pool);
      if (part) inside.push_back(*part);
    }
  }
  std::ranges::sort(inside);
  for (const auto& range : inside) {
    const auto before = apart_.empty() ? apart_.end() : std::prev(apart_.end());
    if (before != apart_.end() && range.first <= before->second) {
      before->second = std::max(before->second, range.last);
    } else {
      apart_.emplace(range.first, range.last);
    }
  }
}

bool AddressPools::is_set_apart(const IpAddress& address) const {
  const auto after = apart_.upper_bound(address);
  return after != apart_.begin() && address <= std::prev(after)->second;
}

void AddressPools::configure(const std::vector<model::Connection>& connections, const std::vector<IpAddress>& own) {
  set_apart(connections, own);
  reserved_.clear();
  full_at_.clear();
  for (const auto& c : connections) {
    if (!c.remote.id) continue;
    for (const auto& pool : c.remote.pools) {
      if (pool.is_single()) reserved_[pool.range.first].push_back(*c.remote.id);
    }
  }
}

bool AddressPools::is_reserved_for_other(const IpAddress& address, const model::Identity& peer) const {
  const auto it = reserved_.find(address);
  if (it == reserved_.end()) return is_set_apart(address);
  return std::ranges::none_of(it->second, [&](const auto& id) { return id.covers(peer); });
}

bool AddressPools::is_in_use(const IpAddress& address) const {
  const auto it = entries_.find(address);
  return it != entries_.end() && !it->second.holders.empty();
}

std::optional<IpAddress> AddressPools::find_wished(const Question& q, const std::string& key) const {
  if (!q.wish || q.wish->family() != q.family || is_reserved_for_other(*q.wish, q.peer)) return std::nullopt;
  const bool ours =
      std::any_of(q.pools.begin(), q.pools.end(), [&](const auto& p) { return p.range.contains(*q.wish); });
  if (!ours || model::ends_in_zeros(*q.wish)) return std::nullopt;
  const auto it = entries_.find(*q.wish);
  if (it == entries_.end()) return q.wish;
  if (it->second.key != key) return std::nullopt;
  return it->second.holders.empty() || it->second.from == q.from ? q.wish : std::nullopt;
}

std::optional<IpAddress> AddressPools::find_known(const Question& q, const std::string& key, Known which) const {
  const auto known = of_peer_.find(key);
  if (known == of_peer_.end()) return std::nullopt;
  for (const auto& pool : q.pools) {
    for (const auto& address : known->second) {
      if (address.family() != q.family || !pool.range.contains(address) || is_reserved_for_other(address, q.peer))
        continue;
      if (is_in_use(address) == (which == Known::kInUse)) return address;
    }
  }
  return std::nullopt;
}

std::optional<IpAddress> AddressPools::find_free(const IpRange& range, const Question& q, const std::string& key,
                                                 bool forget_others) {
  const auto full = full_at_.find(range);
  if (full != full_at_.end() && full->second == changes_) return std::nullopt;
  const auto size = size_of(range);
  const auto start = spread(key) % size;
  for (std::uint64_t i = 0; i < std::min(size, kMostProbes); ++i) {
    const auto address = plus(range.first, (start + i) % size);
    if (model::ends_in_zeros(address) || is_reserved_for_other(address, q.peer)) continue;
    const auto it = entries_.find(address);
    if (it == entries_.end() || (forget_others && it->second.holders.empty())) return address;
  }
  if (forget_others && reserved_.empty()) full_at_[range] = changes_;
  return std::nullopt;
}

std::uint64_t AddressPools::held_by(const Question& q, const std::string& key) const {
  const auto known = of_peer_.find(key);
  if (known == of_peer_.end()) return 0;
  return static_cast<std::uint64_t>(std::ranges::count_if(known->second, [&](const IpAddress& address) {
    return address.family() == q.family && !entries_.at(address).holders.empty() &&
           std::ranges::any_of(q.pools, [&](const auto& pool) { return pool.range.contains(address); });
  }));
}

std::uint64_t AddressPools::fair_share(const Question& q) {
  constexpr std::uint64_t kLeast = 2, kMost = 16;
  std::uint64_t all = 0;
  for (const auto& pool : q.pools) {
    if (pool.family() == q.family) all += size_of(pool.range);
  }
  return std::clamp<std::uint64_t>(all / 4, kLeast, kMost);
}

Result<IpAddress> AddressPools::assign(const Question& q) {
  const auto key = key_of(q.peer);
  // One identity, however often it comes, leaves addresses for others.
  const bool enough = held_by(q, key) >= fair_share(q);
  auto found = find_wished(q, key);
  if (found && enough && !is_in_use(*found)) found.reset();
  if (!found) found = find_known(q, key, enough ? Known::kInUse : Known::kAway);
  for (const bool forget_others : {false, true}) {
    for (const auto& pool : q.pools) {
      if (!found && pool.family() == q.family) found = find_free(pool.range, q, key, forget_others);
    }
  }
  if (!found) found = find_known(q, key, Known::kInUse);
  if (!found) {
    std::string pools;
    for (const auto& pool : q.pools) {
      if (pool.family() == q.family) pools += (pools.empty() ? "" : ", ") + pool.text;
    }
    return fail(pools.empty() ? "the connection has no pool of this address family"
                              : "every address of " + pools + " is in use: make the pool larger");
  }
  hold(*found, q.peer, q.from, q.holder);
  return *found;
}

void AddressPools::hold(const IpAddress& address, const model::Identity& peer, const IpAddress& from,
                        std::uint64_t holder) {
  const auto key = key_of(peer);
  if (const auto it = entries_.find(address); it != entries_.end() && it->second.key != key) drop(address);
  const auto [it, fresh] = entries_.try_emplace(address);
  auto& entry = it->second;
  if (fresh) of_peer_[key].push_back(address);
  if (!fresh && entry.holders.empty()) away_.erase(entry.away_since);
  entry.peer = peer;
  entry.key = key;
  entry.from = from;
  entry.last_used_s = wall_s_;
  note_change(address);
  if (std::find(entry.holders.begin(), entry.holders.end(), holder) == entry.holders.end())
    entry.holders.push_back(holder);
}

void AddressPools::claim(const model::Identity& peer, const IpAddress& from, const IpAddress& address,
                         std::uint64_t holder) {
  hold(address, peer, from, holder);
}

void AddressPools::release(const IpAddress& address, std::uint64_t holder) {
  const auto it = entries_.find(address);
  if (it == entries_.end() || std::erase(it->second.holders, holder) == 0 || !it->second.holders.empty()) return;
  it->second.last_used_s = wall_s_;
  note_change(address);
  put_away(address, it->second);
}

void AddressPools::put_away(const IpAddress& address, Entry& entry) {
  entry.away_since = ++changes_;
  away_[changes_] = address;
  if (away_.size() > kMostRemembered) drop(away_.begin()->second);
}

void AddressPools::remember(const IpAddress& address, const model::Identity& peer, std::uint64_t last_used_s) {
  const auto [it, fresh] = entries_.try_emplace(address);
  if (!fresh) return;
  auto& entry = it->second;
  entry.peer = peer;
  entry.key = key_of(peer);
  entry.last_used_s = last_used_s;
  of_peer_[entry.key].push_back(address);
  put_away(address, entry);
}

std::vector<IpAddress> AddressPools::take_changes() {
  keeps_changes_ = true;
  const auto out = std::exchange(changed_, {});
  return {out.begin(), out.end()};
}

bool AddressPools::forget(const IpAddress& address) {
  const auto it = entries_.find(address);
  if (it == entries_.end() || !it->second.holders.empty()) return false;
  drop(address);
  return true;
}

// By value: the caller's may be inside what is erased here.
void AddressPools::drop(IpAddress address) {
  const auto it = entries_.find(address);
  if (it == entries_.end()) return;
  if (it->second.holders.empty()) away_.erase(it->second.away_since);
  if (const auto known = of_peer_.find(it->second.key); known != of_peer_.end()) {
    std::erase(known->second, address);
    if (known->second.empty()) of_peer_.erase(known);
  }
  entries_.erase(it);
  note_change(address);
  ++changes_;
}

Lease AddressPools::lease_of(const IpAddress& address, const Entry& entry) {
  return {address, entry.peer, entry.from, !entry.holders.empty(), entry.last_used_s};
}

std::optional<Lease> AddressPools::find(const IpAddress& address) const {
  const auto it = entries_.find(address);
  return it == entries_.end() ? std::nullopt : std::optional(lease_of(address, it->second));
}

std::vector<Lease> AddressPools::leases() const {
  std::vector<Lease> out;
  out.reserve(entries_.size());
  for (const auto& [address, entry] : entries_) out.push_back(lease_of(address, entry));
  std::sort(out.begin(), out.end(), [](const Lease& a, const Lease& b) { return a.address < b.address; });
  return out;
}

}  // namespace cygnet::policy
