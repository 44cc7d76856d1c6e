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
  // More than any ike has: bounds for what a hostile one could make us keep.
  static constexpr std::size_t kMost = 1'000'000;
  static constexpr std::size_t kMostIdentityOctets = 128UL << 20U;  // of all identities together

  LeaseKeeper(io::EventLoop& loop, Logger& log) : loop_(loop), log_(log) {}

  void open(const std::string& state_dir);
  void on_changes(const LeaseChanges& changes);
  // The longest unused first.
  [[nodiscard]] std::vector<store::LeaseRecord> leases() const;
  // At the end: what still waits.
  void close();

  [[nodiscard]] std::size_t unsaved() const { return unsaved_.size(); }

 private:
  struct Kept {
    store::LeaseRecord lease;
    bool stored = false;  // something about this address is in the file
  };
  void save();
  void keep(const store::LeaseRecord& lease);
  void forget(const store::LeaseRecord& lease);

  io::EventLoop& loop_;
  Logger& log_;
  std::string path_;
  std::unique_ptr<store::LeaseStore> store_;
  std::map<IpAddress, Kept> leases_;
  std::size_t identity_octets_ = 0;  // of leases_
  // Addresses of leases_, and forgotten ones that are in the file: no more than fit in both.
  std::map<IpAddress, store::LeaseChange> unsaved_;
  bool timer_runs_ = false;
  bool failing_ = false;
  bool told_full_ = false;
};

}  // namespace cygnet::daemon
