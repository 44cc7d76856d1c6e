// SPDX-License-Identifier: Apache-2.0
#pragma once

// Peers on the way to which large IKE messages get lost: the next message to them leaves in small fragments at once
// (RFC 7383 section 2.5.2 leaves open how long such a finding is kept).
#include <cstddef>
#include <map>

#include "base/address.h"
#include "base/time.h"

namespace cygnet::ike::v2 {

class SmallPaths {
 public:
  static constexpr Duration kMemory = std::chrono::hours(1);
  static constexpr std::size_t kMost = 1000;

  void note(const IpAddress& peer, Instant now) {
    if (until_.size() >= kMost) std::erase_if(until_, [&](const auto& entry) { return entry.second <= now; });
    if (until_.size() < kMost || until_.contains(peer)) until_[peer] = now + kMemory;
  }
  [[nodiscard]] bool knows(const IpAddress& peer, Instant now) const {
    const auto found = until_.find(peer);
    return found != until_.end() && found->second > now;
  }

 private:
  std::map<IpAddress, Instant> until_;
};

}  // namespace cygnet::ike::v2
