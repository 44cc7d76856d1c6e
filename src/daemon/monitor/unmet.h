// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernel has refused: told once, and again when it is there. When it is tried again says RepairTimes.
#include <set>
#include <string>

#include "base/log.h"
#include "base/time.h"

namespace cygnet::daemon {

class Unmet {
 public:
  static constexpr std::size_t kMostNamed = 100;  // of the rest only the number is known

  explicit Unmet(Logger& log) : log_(log) {}

  [[nodiscard]] bool empty() const { return named_.empty() && others_ == 0; }
  // what: "the route 10.0.0.0/8"; why: a sentence with what follows from it.
  void add(const std::string& what, const std::string& why);
  // It was missing already before this attempt.
  [[nodiscard]] bool was(const std::string& what) const { return before_.contains(what); }
  // It is no longer wanted.
  void forget(const std::string& what) { named_.erase(what); }
  // Everything is tried again in between: what is not added then is there.
  void begin_attempt();
  void end_attempt();

 private:
  Logger& log_;
  std::set<std::string> named_, before_;
  std::size_t others_ = 0;
  std::size_t told_ = 0;  // since the last attempt
  bool told_others_ = false;
};

// When the monitor looks at what it has set: at once when others have touched it, and with growing pauses where they do
// not stop, or while something is missing.
class RepairTimes {
 public:
  // Between repairs, while others go on taking things away: `ip route flush` begins anew for as long as it finds
  // routes, and our own table may be long.
  static constexpr Duration kFirstBetween = std::chrono::milliseconds(1);
  static constexpr Duration kLongestBetween = std::chrono::milliseconds(800);
  static constexpr Duration kQuiet = std::chrono::seconds(1);  // after this long the next repair waits for nothing
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::minutes(1);

  void on_touched() { touched_ = true; }
  // Something could not be set.
  void on_unmet(Instant now);
  void on_repaired(Instant now, bool all_there, Duration took = {});
  [[nodiscard]] bool touched() const { return touched_; }
  [[nodiscard]] Instant due() const;  // kNever: there is no need

 private:
  bool touched_ = false;
  Instant repaired_{};
  Duration between_{};
  Duration pause_{};  // zero: nothing is missing
  Instant again_ = kNever;
};

}  // namespace cygnet::daemon
