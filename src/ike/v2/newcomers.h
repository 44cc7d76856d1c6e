// SPDX-License-Identifier: Apache-2.0
#pragma once

// What those do lately who begin an IKE SA here: how many go on as somebody who has computed the keys, and how many
// send rubbish or nothing (RFC 8019 section 7.2). And which puzzles have been paid with already.
#include <cstddef>
#include <cstdint>
#include <unordered_set>

#include "base/bytes.h"
#include "base/time.h"

namespace cygnet::ike::v2 {

// Two counters that lose half of what they hold every ten seconds.
class Newcomers {
 public:
  void note(Instant now, bool genuine);
  // Have at least so many percent of them been false lately? Of a few nothing is concluded. Once it is so, it stays
  // until the share is less than half of that.
  [[nodiscard]] bool mostly_false(Instant now, std::uint32_t percent);

 private:
  void fade(Instant now);

  std::uint64_t genuine_ = 0, false_ = 0;
  Instant faded_{};
  bool mostly_false_ = false;
};

// RFC 8019 section 10: "Implementations MUST use one of the above (or some other) countermeasures" against solutions
// that pay twice. A cookie whose puzzle led to a half-open IKE SA leads to no other one; it is remembered while it is
// good.
class SpentPuzzles {
 public:
  static constexpr std::size_t kMost = 65536;  // of one secret; a puzzle of difficulty 14 takes 65,000 hashes

  void note(ByteView cookie);
  [[nodiscard]] bool contains(ByteView cookie) const;
  // The secret of cookies changed: those of the one before the last are not good any more.
  void turn_over();

 private:
  std::unordered_set<std::uint64_t> current_, previous_;
};

}  // namespace cygnet::ike::v2
