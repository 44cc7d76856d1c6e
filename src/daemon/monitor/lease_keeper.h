// SPDX-License-Identifier: Apache-2.0
#pragma once

// The leases that ike gives, kept in STATE_DIR/leases.db and handed to each new ike. Without the file (no room, no
// right, damaged) it goes on in memory and says so; what could not be saved is saved as soon as it can be.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/lease_messages.h"
#include "io/event_loop.h"
#include "store/lease_store.h"

namespace cygnet::daemon {

class LeaseKeeper {
 public:
  // More than any ike has: a bound for what a hostile one could make us keep.
  static constexpr std::size_t kMost = 1'000'000;

  LeaseKeeper(io::EventLoop& loop, Logger& log) : loop_(loop), log_(log) {}

  void open(const std::string& state_dir);
  void on_changes(const LeaseChanges& changes);
  // The longest unused first.
  [[nodiscard]] std::vector<store::LeaseRecord> leases() const;
  // At the end: what still waits.
  void close();

 private:
  void save();

  io::EventLoop& loop_;
  Logger& log_;
  std::string path_;
  std::unique_ptr<store::LeaseStore> store_;
  std::map<IpAddress, store::LeaseRecord> leases_;
  std::map<IpAddress, store::LeaseChange> unsaved_;
  bool timer_runs_ = false;
  bool failing_ = false;
  bool told_full_ = false;
};

}  // namespace cygnet::daemon
