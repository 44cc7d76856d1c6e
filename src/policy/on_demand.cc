// SPDX-License-Identifier: Apache-2.0
#include "policy/on_demand.h"

#include <algorithm>

namespace cygnet::policy {

void OnDemand::Pause::lengthen(Instant now) {
  length = length == Duration{} ? kFirstPause : std::min(length * 2, kLongestPause);
  end = now + length;
}

// As networks are given out: the /24 or the /64.
IpPrefix OnDemand::neighbours(const IpAddress& address) {
  const IpPrefix network{address, static_cast<std::uint8_t>(address.is_v4() ? 24 : 64)};
  return {network.network(), network.length};
}

OnDemand::Answer OnDemand::on_acquire(Instant now, const std::string& connection, const std::string& child,
                                      const IpAddress& remote) {
  auto& attempt = attempts_[{connection, child}];
  if (attempt.under_way) {
    return Answer::kUnderWay;
  }
  const auto part = attempt.refused.find(neighbours(remote));
  if (now < attempt.pause.end || (part != attempt.refused.end() && now < part->second.end)) {
    return Answer::kTooSoon;
  }
  attempt.under_way = true;
  return Answer::kTry;
}

void OnDemand::on_done(Instant now, const std::string& connection, const std::string& child, bool ok, bool retrying) {
  // `child` empty: the first of all of the connection's.
  for (auto it = attempts_.lower_bound({connection, child}); it != attempts_.end() && it->first.first == connection;
       ++it) {
    auto& [name, attempt] = *it;
    if (!child.empty() && name.second != child) {
      return;
    }
    attempt.under_way = !ok && retrying;
    if (ok) {
      attempt.pause = {};
    } else {
      attempt.pause.lengthen(now);
    }
  }
}

bool OnDemand::on_part_refused(Instant now, const std::string& connection, const std::string& child,
                               const IpAddress& remote) {
  auto& attempt = attempts_[{connection, child}];
  attempt.under_way = false;
  // The peer is not asked about one part after the other as fast as packets come.
  attempt.pause = {};
  attempt.pause.lengthen(now);
  const auto part = neighbours(remote);
  if (!attempt.refused.contains(part) && attempt.refused.size() >= kMostRefused) {
    attempt.refused.erase(
        std::ranges::min_element(attempt.refused, {}, [](const auto& known) { return known.second.end; }));
  }
  const auto [place, fresh] = attempt.refused.try_emplace(part);
  place->second.lengthen(now);
  return fresh;
}

}  // namespace cygnet::policy
