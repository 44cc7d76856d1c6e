// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much may wait in pieces of fragmented messages (RFC 7383 section 5 warns of those who never send the last one).
// Strangers, whose IKE_AUTH is not whole yet, share less than those who have proven who they are, and one place of them
// less still.
#include <cstddef>
#include <map>
#include <optional>

#include "base/address.h"

namespace cygnet::ike::v2 {

class PieceBudget {
 public:
  static constexpr std::size_t kOfAll = 16U << 20U;       // octets of those who are known
  static constexpr std::size_t kOfStrangers = 4U << 20U;  // of all strangers
  static constexpr std::size_t kOfPlace = 256U << 10U;    // of strangers at one IPv4 address or in one IPv6 /64
  static constexpr std::size_t kOfStranger = 24U << 10U;  // of one: an IKE_AUTH with a chain of certificates has less

  // `place`: of a stranger; nothing: of somebody known. `held`: of the same message already.
  [[nodiscard]] bool has_room(const std::optional<IpAddress>& place, std::size_t held, std::size_t octets) const {
    if (!place) return known_ + octets <= kOfAll;
    const auto found = places_.find(key(*place));
    const std::size_t there = found == places_.end() ? 0 : found->second;
    return held + octets <= kOfStranger && there + octets <= kOfPlace && strangers_ + octets <= kOfStrangers;
  }
  void change(const std::optional<IpAddress>& place, std::size_t before, std::size_t after) {
    auto& total = place ? strangers_ : known_;
    total = total - before + after;
    if (!place) return;
    auto& there = places_[key(*place)];
    there = there - before + after;
    if (there == 0) places_.erase(key(*place));
  }
  [[nodiscard]] std::size_t octets() const { return known_ + strangers_; }

 private:
  [[nodiscard]] static IpAddress key(const IpAddress& from) {
    return from.is_v4() ? from : IpPrefix{from, 64}.network();
  }

  std::size_t known_ = 0, strangers_ = 0;
  std::map<IpAddress, std::size_t> places_;
};

}  // namespace cygnet::ike::v2
