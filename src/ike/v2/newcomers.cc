// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/newcomers.h"

#include <algorithm>
#include <utility>

namespace cygnet::ike::v2 {
namespace {

constexpr Duration kHalfLife = std::chrono::seconds(10);
constexpr std::uint64_t kEnough = 16;  // false ones, before anything is concluded
constexpr std::int64_t kMostHalvings = 63;

// The end of a cookie is a PRF's output under a secret of ours: nobody chooses it.
std::uint64_t name_of(ByteView cookie) { return cookie.size() < 8 ? 0 : load_be64(cookie.data() + cookie.size() - 8); }

}  // namespace

void Newcomers::fade(Instant now) {
  const auto halvings = (now - faded_) / kHalfLife;
  if (halvings <= 0) return;
  const auto shift = std::min<std::int64_t>(halvings, kMostHalvings);
  genuine_ >>= shift;
  false_ >>= shift;
  faded_ = now;
}

void Newcomers::note(Instant now, bool genuine) {
  fade(now);
  ++(genuine ? genuine_ : false_);
}

bool Newcomers::mostly_false(Instant now, std::uint32_t percent) {
  fade(now);
  if (percent == 0) return mostly_false_ = false;
  const auto all = genuine_ + false_;
  // Half of everything while it lasts: what hovers around the limit does not flap.
  const auto share = mostly_false_ ? percent / 2 : percent;
  const auto enough = mostly_false_ ? kEnough / 2 : kEnough;
  return mostly_false_ = false_ >= enough && false_ * 100 >= all * share;
}

void SpentPuzzles::note(ByteView cookie) {
  if (current_.size() < kMost) current_.insert(name_of(cookie));
}

bool SpentPuzzles::contains(ByteView cookie) const {
  const auto name = name_of(cookie);
  return current_.contains(name) || previous_.contains(name);
}

void SpentPuzzles::turn_over() {
  previous_ = std::move(current_);
  current_.clear();
}

}  // namespace cygnet::ike::v2
