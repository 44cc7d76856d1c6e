// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/used_keys.h"

#include <algorithm>

namespace cygnet::sadb {
namespace {

// FNV-1a. Two keys with one digest share their numbers: the later one begins higher than it needs.
std::uint64_t digest_of(const PfkeySa& sa) {
  std::uint64_t out = 0xcbf29ce484222325;
  const auto take = [&](std::uint8_t octet) { out = (out ^ octet) * 0x100000001b3; };
  for (const auto* key : {&sa.encrypt_key, &sa.auth_key}) {
    take(static_cast<std::uint8_t>(key->size()));
    std::ranges::for_each(*key, take);
  }
  return out;
}

}  // namespace

void UsedKeys::remember(const PfkeySa& sa) {
  if (sa.sent == 0 && sa.seen == 0) return;
  const auto digest = digest_of(sa);
  const auto [entry, fresh] = by_digest_.try_emplace(digest);
  entry->second.sent = std::max(entry->second.sent, sa.sent);
  entry->second.seen = std::max(entry->second.seen, sa.seen);
  if (!fresh) return;
  in_order_.push_back(digest);
  if (in_order_.size() <= kMost) return;
  by_digest_.erase(in_order_.front());
  in_order_.pop_front();
}

void UsedKeys::recall(PfkeySa& sa) const {
  const auto found = by_digest_.find(digest_of(sa));
  if (found == by_digest_.end()) return;
  sa.sent = std::max(sa.sent, found->second.sent);
  if (sa.seen != 0) sa.seen = std::max(sa.seen, found->second.seen);
}

}  // namespace cygnet::sadb
