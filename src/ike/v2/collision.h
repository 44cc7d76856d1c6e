// SPDX-License-Identifier: Apache-2.0
#pragma once

// Both ends doing the same thing at the same time (RFC 7296 sections 2.8.1 and 2.8.2).
#include <algorithm>

#include "ike/v2/ike_sa.h"

namespace cygnet::ike::v2 {

// Nonces are compared octet by octet, as RFC 7296 section 2.8.1 explains.
[[nodiscard]] inline const Bytes& lower(const Bytes& a, const Bytes& b) {
  return std::lexicographical_compare(b.begin(), b.end(), a.begin(), a.end()) ? b : a;
}

// Of the four nonces of two colliding exchanges the lowest decides: the SA made with it is closed by whoever made it.
[[nodiscard]] inline bool ours_is_redundant(const Task& ours, const Collision& theirs) {
  const auto& our_lowest = lower(ours.nonce, ours.peer_nonce);
  const auto& their_lowest = lower(theirs.nonce_i, theirs.nonce_r);
  return std::lexicographical_compare(our_lowest.begin(), our_lowest.end(), their_lowest.begin(), their_lowest.end());
}

}  // namespace cygnet::ike::v2
