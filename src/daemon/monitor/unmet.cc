// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/unmet.h"

#include <algorithm>
#include <utility>

namespace cygnet::daemon {

void Unmet::add(const std::string& what, const std::string& why) {
  if (named_.contains(what)) return;
  if (named_.size() >= kMostNamed) {
    ++others_;
    if (!std::exchange(told_others_, true))
      log_.warning("network",
                   "more than " + std::to_string(kMostNamed) +
                       " of our routes and addresses cannot be set; they are tried again, and named no more");
    return;
  }
  named_.insert(what);
  if (!before_.contains(what) && ++told_ <= kMostNamed)
    log_.warning("network", why + "; it is tried again until it is there");
}

void Unmet::begin_attempt() {
  before_ = std::exchange(named_, {});
  others_ = 0;
}

void Unmet::end_attempt() {
  for (const auto& what : before_) {
    if (!named_.contains(what)) log_.notice("network", what + " is there now");
  }
  before_.clear();
  told_ = 0;
  if (empty()) told_others_ = false;
}

void RepairTimes::on_unmet(Instant now) {
  if (pause_ != Duration{}) return;
  pause_ = kFirstPause;
  again_ = now + pause_;
}

void RepairTimes::on_repaired(Instant now, bool all_there, Duration took) {
  touched_ = false;
  const bool was_quiet = now - took - repaired_ > kQuiet;
  between_ = std::clamp(std::max(was_quiet ? Duration{} : 2 * between_, took), kFirstBetween, kLongestBetween);
  repaired_ = now;
  if (all_there) {
    pause_ = {};
    again_ = kNever;
    return;
  }
  pause_ = pause_ == Duration{} ? kFirstPause : std::min(pause_ * 2, kLongestPause);
  again_ = now + pause_;
}

Instant RepairTimes::due() const { return touched_ ? std::min(repaired_ + between_, again_) : again_; }

}  // namespace cygnet::daemon
