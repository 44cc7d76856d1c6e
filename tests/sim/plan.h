// SPDX-License-Identifier: Apache-2.0
#pragma once

// What happens in one simulated life: all of it, and nothing but it, follows from the seed.
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "model/connection.h"

namespace cygnet::sim {

enum class What : std::uint8_t {
  kRekeyChild,
  kRekeyIke,
  kSoftLimit,    // the engine says that a child's SA nears a limit …
  kHardLimit,    // … or has reached it and is gone
  kDeleteIke,    // by B, which only answers: A must come back
  kCrash,        // the ike process dies; the data plane and the checkpoints stay
  kCrashMidway,  // the same, in the middle of a list of actions
  kPowerLoss,    // nothing stays
  kRestart,
  kRebind,    // the NAT forgets
  kBlackout,  // the network drops everything …
  kLight      // … until here
};
[[nodiscard]] std::string_view to_string(What what);

struct PlannedEvent {
  Duration at{};
  What what{};
  std::size_t side = 0;
  std::size_t child = 0;
  int actions = 0;  // kCrashMidway
};

struct Plan {
  std::uint64_t seed = 0;
  model::Connection a, b;
  bool both_start = false;
  bool nat = false;
  bool violent = false;  // crashes, power losses, deletions, blackouts
  bool strict = false;   // no loss and no violence: not one packet may be lost once the tunnel is up
  unsigned loss_percent = 0;
  unsigned duplicate_percent = 0;
  Duration delay_min{}, delay_max{};
  unsigned traffic_percent = 100;  // of the seconds in which a child carries packets
  Duration length{};               // then the network is perfect and nothing more happens …
  Duration healing{};              // … for this long
  Duration dark_bound{};           // the longest a child may carry nothing
  std::vector<PlannedEvent> events;

  [[nodiscard]] std::string describe() const;
};

[[nodiscard]] Plan make_plan(std::uint64_t seed);

}  // namespace cygnet::sim
