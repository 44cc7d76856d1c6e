// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/placement.h"

#include <algorithm>

namespace cygnet::daemon {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Of the time since the last look: what it had of the CPUs, or waited for them, when it needs more than one of them.
// Who answers one packet at a time comes to a half, and is quicker where he is.
constexpr int kBusyPercent = 60;
constexpr int kStarvedPercent = 30;
// Less than that: it is for others that it has to wait.
constexpr int kOwnPercent = 15;
// Both together, for kQuiet, when it may go where packets arrive.
constexpr int kQuietPercent = 30;
constexpr Duration kQuiet = milliseconds(250);
constexpr Duration kCountEvery = milliseconds(100);
constexpr Duration kRecountEvery = seconds(2);  // once it is where packets arrived
constexpr std::uint64_t kFewBursts = 4;         // fewer say nothing about where they come from
// On a quiet machine a thread waits 10 to 40 microseconds on the average for its turn, wherever it runs, most of it in
// single milliseconds; where something else runs all the time it is many times that.
constexpr Duration kPatience = microseconds(100);
constexpr int kStintsJudged = 32;  // together
constexpr Duration kFirstPause = seconds(2);
constexpr Duration kLongestPause = seconds(64);

CpuSpent operator-(const CpuSpent& a, const CpuSpent& b) {
  return {a.ran - b.ran, a.waited - b.waited, a.stints - b.stints};
}

}  // namespace

Placement::Step Placement::look(Instant now, const CpuSpent& spent, std::uint64_t bursts) {
  const auto passed = now - last_look_;
  const auto had = spent - last_;
  last_look_ = now;
  turns_ = 0;
  last_ = spent;
  bursts_ = bursts;
  const auto is_part = [&](Duration of_it, int percent) { return of_it * 100 >= passed * percent; };
  if (quiet_since_ == Instant{} || is_part(had.ran + had.waited, kQuietPercent)) quiet_since_ = now;
  if (cpu_) {
    window_.waited += had.waited;
    window_.stints += had.stints;
    if (is_part(had.ran, kBusyPercent) || is_part(had.waited, kStarvedPercent)) return release(now);
    if (has_to_wait()) {
      // With work of its own it goes back as soon as that is done.
      if (is_part(had.ran, kOwnPercent)) return release(now);
      pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
      not_before_ = now + pause_;
      return release(now);
    }
  }
  return may_count(now) ? Step::kCount : Step::kStay;
}

// Others run where packets arrive.
bool Placement::has_to_wait() {
  const bool too_long = window_.waited > kPatience * kStintsJudged;
  if (!too_long && window_.stints < kStintsJudged) return false;
  window_ = {};
  if (!too_long) pause_ /= 2;
  return too_long;
}

Placement::Step Placement::release(Instant now) {
  cpu_.reset();
  counted_.clear();
  quiet_since_ = now;
  return Step::kRelease;
}

bool Placement::may_count(Instant now) const {
  if (now < not_before_ || now - last_count_ < (cpu_ ? kRecountEvery : kCountEvery)) return false;
  return cpu_ || now - quiet_since_ >= kQuiet;
}

std::optional<std::uint16_t> Placement::arrived(Instant now, std::span<const CpuArrivals> counts) {
  const bool first = counted_.size() != counts.size();
  if (!first && bursts_ - bursts_counted_ < kFewBursts) return std::nullopt;
  std::uint64_t most = 0;
  std::uint64_t here = 0;
  std::vector<std::uint64_t> grown(counts.size());
  for (std::size_t i = 0; i < counts.size() && !first; ++i) {
    grown[i] = counts[i].count - std::min(counts[i].count, counted_[i].count);
    most = std::max(most, grown[i]);
    if (counts[i].cpu == cpu_ && counts[i].allowed) here = grown[i];
  }
  counted_.assign(counts.begin(), counts.end());
  last_count_ = now;
  bursts_counted_ = bursts_;
  // It stays unless twice as many come elsewhere.
  if (first || most == 0 || (cpu_ && here * 2 >= most)) return std::nullopt;
  // Of two with about as many, everybody goes to the lower one: two engines that wake each other must not change places
  // for ever.
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (grown[i] * 4 < most * 3) continue;
    if (!counts[i].allowed) continue;
    if (counts[i].cpu == cpu_) return std::nullopt;
    cpu_ = counts[i].cpu;
    window_ = {};
    return cpu_;
  }
  return std::nullopt;
}

void Placement::refused(Instant now) {
  (void)release(now);
  not_before_ = now + kLongestPause;
}

}  // namespace cygnet::daemon
