// SPDX-License-Identifier: Apache-2.0
#pragma once

// Leases on their way between ike, which gives them, and the monitor, which keeps them on disk: changes as messages of
// the channel, all of them at the start of ike in a memory file.
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/lease_store.h"

namespace cygnet::daemon {

struct LeaseChanges {
  std::vector<store::LeaseChange> list;
};
// Longer identities than any that people use have their lease in memory only.
inline constexpr std::size_t kMaxStoredIdentity = 2048;  // octets

// As many messages as it takes for each to fit.
[[nodiscard]] std::vector<LeaseChanges> split_to_messages(std::vector<store::LeaseChange> changes);

[[nodiscard]] std::string encode_leases(const std::vector<store::LeaseRecord>& leases);
[[nodiscard]] Result<std::vector<store::LeaseRecord>> decode_leases(const std::string& text);

// Of one record; A is an archive of sadb/archive.h, V a LeaseRecord, const or not.
template <typename A, typename V>
void lease_fields(A& a, V& v) {
  a.address(v.address);
  // NOLINTNEXTLINE(misc-const-correctness): the reading archive sets it
  auto type = static_cast<std::uint8_t>(v.peer.type);
  a.number(type);
  a.octets(v.peer.data);
  a.number(v.last_used_s);
  if constexpr (A::kReads) {
    v.peer.type = static_cast<model::IdType>(type);
    if (v.peer.data.size() > kMaxStoredIdentity) a.refuse();
  }
}

}  // namespace cygnet::daemon
