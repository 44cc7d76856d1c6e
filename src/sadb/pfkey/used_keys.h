// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far the sequence numbers of SAs that were in force had come, by their keys. A program that moves an SA takes it
// away and brings it again with the number it read before; what was sent in between must not be sent anew. RFC 4303
// section 3.3.3: the peer drops a number that comes twice. (IVs do not repeat in any case: SaSpec::iv_mask.)
#include <cstdint>
#include <deque>
#include <unordered_map>

#include "sadb/pfkey/sa_table.h"

namespace cygnet::sadb {

class UsedKeys {
 public:
  static constexpr std::size_t kMost = 65536;  // the oldest are forgotten

  void remember(const PfkeySa& sa);
  // Outbound: never behind what was sent under these keys. Inbound: what is said to go on goes on behind what was seen;
  // one that begins anew, as its peer's may do, begins anew.
  void recall(PfkeySa& sa) const;

 private:
  struct Numbers {
    std::uint64_t sent = 0, seen = 0;
  };
  std::unordered_map<std::uint64_t, Numbers> by_digest_;
  std::deque<std::uint64_t> in_order_;
};

}  // namespace cygnet::sadb
