// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_lifetime, RFC 2367 section 2.3.2. Current: what was used, and when (seconds since 1970). Soft and hard:
// limits, times in seconds from the event; 0: none.
//
//   +---------------+---------------+---------------+---------------+
//   |       sadb_lifetime_len       |     sadb_lifetime_exttype     |
//   +---------------+---------------+---------------+---------------+
//   |                   sadb_lifetime_allocations                   |
//   +---------------+---------------+---------------+---------------+
//   |            sadb_lifetime_bytes (64 bits)                      |
//   |            sadb_lifetime_addtime (64 bits)                    |
//   |            sadb_lifetime_usetime (64 bits)                    |
//   +---------------+---------------+---------------+---------------+
struct LifetimeExtension {
  std::uint32_t allocations = 0;  // Linux counts packets here
  std::uint64_t bytes = 0;
  std::uint64_t add_time = 0;
  std::uint64_t use_time = 0;

  [[nodiscard]] static Parsed<LifetimeExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const LifetimeExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
