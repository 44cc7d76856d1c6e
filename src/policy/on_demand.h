// SPDX-License-Identifier: Apache-2.0
#pragma once

// How often a tunnel that packets ask for is tried: once at a time, and after failures less and less often. What a peer
// does not protect of a child that is up has pauses of its own, so that it keeps no other part waiting. Pure.
#include <map>
#include <string>
#include <utility>

#include "base/address.h"
#include "base/time.h"

namespace cygnet::policy {

class OnDemand {
 public:
  enum class Answer { kTry, kUnderWay, kTooSoon };
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(60);

  // A packet to `remote` asks for the child.
  [[nodiscard]] Answer on_acquire(Instant now, const std::string& connection, const std::string& child,
                                  const IpAddress& remote);
  // The attempt ended. retrying: whoever tries goes on by itself.
  void on_done(Instant now, const std::string& connection, const std::string& child, bool ok, bool retrying);
  // The child is up, and the peer does not protect what goes to `remote`, nor, as is taken for granted for a while, to
  // its neighbours. True: that is new.
  bool on_part_refused(Instant now, const std::string& connection, const std::string& child, const IpAddress& remote);
  void forget_all() { attempts_.clear(); }

 private:
  struct Pause {
    Duration length{};
    Instant end{};
    void lengthen(Instant now);
  };
  struct Attempt {
    bool under_way = false;
    Pause pause;
    std::map<IpPrefix, Pause> refused;  // at most kMostRefused; the one that ends first makes room
  };
  static constexpr std::size_t kMostRefused = 64;
  [[nodiscard]] static IpPrefix neighbours(const IpAddress& address);
  std::map<std::pair<std::string, std::string>, Attempt> attempts_;
};

}  // namespace cygnet::policy
