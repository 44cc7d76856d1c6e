// SPDX-License-Identifier: Apache-2.0
// Two connections for one peer that ask for different proofs of it: which of them it gets would depend on their order.
#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/ambiguity.h"
#include "config/conflicts.h"

namespace cygnet::config {
namespace {

using model::End;

// Who an end is, as far as a configuration can tell.
std::string name_of(const End& end) {
  if (end.id) return "id " + end.id->to_string();
  if (end.id_any) return "anyone";
  if (!end.certificate.empty()) return "certificate " + end.certificate;
  return end.host.kind == model::HostSpec::Kind::kAny ? "anyone" : "its address";
}
std::string key_of(const End& end) { return end.host.to_string() + '\n' + name_of(end); }

bool meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const auto& x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

// What one end must prove, or proves. No peer satisfies two that are apart.
bool apart(const End& a, const End& b) {
  if (a.auth != b.auth || a.auth != model::AuthMethod::kSignature) return false;
  const auto differ = [](const auto& x, const auto& y) { return !x.empty() && !y.empty() && x != y; };
  if (differ(a.certificate, b.certificate) || differ(a.public_key, b.public_key)) return true;
  if (a.authority && b.authority && *a.authority != *b.authority) return true;
  return !a.groups.empty() && !b.groups.empty() && !meet(a.groups, b.groups);
}

bool same_proof(const End& a, const End& b) {
  return a.auth == b.auth && a.certificate == b.certificate && a.public_key == b.public_key &&
         a.authority == b.authority && a.same_authority == b.same_authority && a.groups == b.groups &&
         a.revocation == b.revocation;
}

// A connection with its ends in the order of their names: left and right may have been swapped.
struct Seen {
  const ConnectionDraft* draft;
  const End* first;
  const End* second;
};

// Which end is ours is known for certain only where the other waits for anybody, or where it says so itself.
bool may_be_peer(const End& end, const End& other) {
  return end.host.kind != model::HostSpec::Kind::kDefaultRoute && other.host.kind != model::HostSpec::Kind::kAny;
}

bool same_proofs(const model::Connection& a, const model::Connection& b) {
  return same_proof(a.local, b.local) && same_proof(a.remote, b.remote);
}
bool same_proofs(const Seen& a, const Seen& b) {
  return same_proof(*a.first, *b.first) && same_proof(*a.second, *b.second);
}

// Our own proofs do not tell connections apart: they come after the peer's.
bool ambiguous(const Seen& a, const Seen& b) {
  if (may_be_peer(*a.first, *a.second) && apart(*a.first, *b.first)) return false;
  if (may_be_peer(*a.second, *a.first) && apart(*a.second, *b.second)) return false;
  return !same_proofs(a, b);
}

std::string place_of(const ConnectionDraft& draft) { return draft.place.file + ':' + std::to_string(draft.place.line); }

// An end with the address that it has by now, however it was written.
std::string oriented_key(const End& end) {
  return (end.host.has_address() ? end.host.address.to_string() : end.host.to_string()) + '\n' + name_of(end);
}

std::string whom(const End& end) {
  const auto name = name_of(end);
  if (name == "anyone") return "anyone at " + end.host.to_string();
  return "'" + (end.id ? end.id->to_string() : end.host.to_string()) + "'";
}

}  // namespace

std::uint64_t ambiguity_mark(const model::Connection& connection) {
  auto names = std::pair(key_of(connection.local), key_of(connection.remote));
  if (names.second < names.first) std::swap(names.first, names.second);
  return std::hash<std::string>{}(names.first + '\n' + names.second);
}

void find_ambiguous(const std::vector<ConnectionDraft>& drafts, Reporter& report) {
  std::map<std::string, std::vector<Seen>> pairs;  // by hosts and identities; of those with the same proofs one
  for (const auto& draft : drafts) {
    if (draft.start() == model::StartAction::kIgnore) continue;
    Seen seen{&draft, &draft.connection.local, &draft.connection.remote};
    auto names = std::pair(key_of(*seen.first), key_of(*seen.second));
    if (names.second < names.first) {
      std::swap(names.first, names.second);
      std::swap(seen.first, seen.second);
    }
    auto& others = pairs[names.first + '\n' + names.second];
    if (std::any_of(others.begin(), others.end(), [&](const Seen& other) { return same_proofs(other, seen); }))
      continue;
    const auto clash =
        std::find_if(others.begin(), others.end(), [&](const Seen& other) { return ambiguous(other, seen); });
    const auto* first = clash == others.end() ? nullptr : clash->draft;
    others.push_back(seen);
    if (first == nullptr) continue;
    report.error(draft.place,
                 "conn " + draft.connection.name + " and conn " + first->connection.name + " (" + place_of(*first) +
                     ") are for the same ends, " + whom(draft.connection.local) + " and " +
                     whom(draft.connection.remote) +
                     ", and want different proofs: which of them a peer gets would depend on their order",
                 "give them different identities, or the same rules, or a rightca= (or rightgroups=) each");
  }
}

std::map<std::string, std::string> find_ambiguous_oriented(const std::vector<model::Connection>& connections,
                                                           const std::function<bool(const model::Connection&)>& stood) {
  std::unordered_map<std::string, std::vector<const model::Connection*>> pairs;  // of those with the same proofs one
  std::map<std::string, std::string> out;
  // Whoever answers DNS for one connection says nothing about another: its name counts after what is written, and a new
  // answer after one that was there.
  std::vector<const model::Connection*> in_order;
  for (const auto& connection : connections) in_order.push_back(&connection);
  std::ranges::stable_sort(in_order, {}, [&](const auto* c) {
    const bool written =
        c->local.host.kind != model::HostSpec::Kind::kName && c->remote.host.kind != model::HostSpec::Kind::kName;
    return written ? 0 : stood && stood(*c) ? 1 : 2;
  });
  for (const auto* each : in_order) {
    const auto& connection = *each;
    auto& others = pairs[oriented_key(connection.local) + '\n' + oriented_key(connection.remote)];
    if (std::ranges::any_of(others, [&](const auto* other) { return same_proofs(*other, connection); })) continue;
    // Our own proof tells nothing apart: it comes after the peer's.
    const auto clash =
        std::ranges::find_if(others, [&](const auto* other) { return !apart(other->remote, connection.remote); });
    if (clash == others.end()) {
      others.push_back(&connection);
      continue;
    }
    out.emplace(connection.name, "it is for the same ends as conn " + (*clash)->name + ", " + whom(connection.local) +
                                     " and " + whom(connection.remote) +
                                     ", and wants different proofs: which of them a peer gets would depend on their "
                                     "order. Give them different identities, or the same rules, or a rightca= (or "
                                     "rightgroups=) each for the peer");
  }
  return out;
}

}  // namespace cygnet::config
