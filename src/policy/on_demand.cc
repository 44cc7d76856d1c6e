// SPDX-License-Identifier: Apache-2.0
#include "policy/on_demand.h"

#include <algorithm>

namespace cygnet::policy {

OnDemand::Answer OnDemand::on_acquire(Instant now, const std::string& connection, const std::string& child) {
  auto& attempt = attempts_[{connection, child}];
  if (attempt.under_way) {
    return Answer::kUnderWay;
  }
  if (now < attempt.not_before) {
    return Answer::kTooSoon;
  }
  attempt.under_way = true;
  return Answer::kTry;
}

void OnDemand::on_done(Instant now, const std::string& connection, const std::string& child, bool ok, bool retrying) {
  // `child` empty: the first of all of the connection's.
  for (auto it = attempts_.lower_bound({connection, child}); it != attempts_.end() && it->first.first == connection;) {
    auto& [name, attempt] = *it;
    if (!child.empty() && name.second != child) {
      return;
    }
    if (ok) {
      it = attempts_.erase(it);
      continue;
    }
    attempt.under_way = retrying;
    attempt.pause = attempt.pause == Duration{} ? kFirstPause : std::min(attempt.pause * 2, kLongestPause);
    attempt.not_before = now + attempt.pause;
    ++it;
  }
}

}  // namespace cygnet::policy
