// SPDX-License-Identifier: Apache-2.0
#pragma once

// How often a tunnel that packets ask for is tried: once at a time, and after failures less and less often. Pure.
#include <map>
#include <string>
#include <utility>

#include "base/time.h"

namespace cygnet::policy {

class OnDemand {
 public:
  enum class Answer { kTry, kUnderWay, kTooSoon };
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(60);

  // A packet asks for the child.
  [[nodiscard]] Answer on_acquire(Instant now, const std::string& connection, const std::string& child);
  // The attempt ended. retrying: whoever tries goes on by itself.
  void on_done(Instant now, const std::string& connection, const std::string& child, bool ok, bool retrying);
  void forget_all() { attempts_.clear(); }

 private:
  struct Attempt {
    bool under_way = false;
    Duration pause{};
    Instant not_before{};
  };
  std::map<std::pair<std::string, std::string>, Attempt> attempts_;
};

}  // namespace cygnet::policy
