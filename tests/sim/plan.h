// SPDX-License-Identifier: Apache-2.0
#pragma once

// What happens in one simulated life: all of it, and nothing but it, follows from the seed.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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
  kDeleteIke,    // by the one that only answers: the other must come back
  kDeleteChild,  // the same for one child
  kTakeDown,     // by the one that starts: it stays down …
  kBringUp,      // … until here
  kCrash,        // the ike process dies; the data plane and the checkpoints stay
  kCrashMidway,  // the same, in the middle of a list of actions
  kPowerLoss,    // nothing stays
  kRestart,
  kSuspend,        // the machine sleeps: its clock runs on, it hears and does nothing …
  kResume,         // … until here
  kRebind,         // the NAT forgets
  kMove,           // the host has another address
  kReload,         // the configuration is read again: unchanged …
  kReloadChanged,  // … with other lifetimes …
  kReloadRemoved,  // … without the connection …
  kReloadBack,     // … and with it again
  kBlackout,       // the network drops everything …
  kIkeBlackout,    // … or IKE alone …
  kEspBlackout,    // … or ESP alone …
  kLight,          // … until here
  kGatewayDark,    // one of a gateway's addresses cannot be reached …
  kGatewayLight,   // … until here
  kClockStep       // the wall clock of a machine is set to another time: so many seconds from the right one
};
[[nodiscard]] std::string_view to_string(What what);

struct PlannedEvent {
  Duration at{};
  What what{};
  std::size_t side = 0;
  std::size_t link = 0;
  std::size_t child = 0;
  int actions = 0;           // kCrashMidway
  std::size_t place = 0;     // kMove: which of the places of the party; kGatewayDark, kGatewayLight: of the addresses
  std::int64_t wrong_s = 0;  // kClockStep
};

struct Party {
  std::string name;  // "A"; its identity is a.test
  IpAddress address;
  bool behind_nat = false;
  std::vector<IpAddress> places;     // of one who wanders; the first is where it begins
  std::vector<IpAddress> addresses;  // of a gateway that has several; the first is the one to be preferred
  bool impostor = false;             // shows the identity of somebody else and does not know the secret
  std::vector<model::Connection> connections;
  std::vector<model::SharedSecret> secrets;
};

// Two parties that are to be connected; `starts` initiates. The connection has the same name at both.
struct Link {
  std::string connection;
  std::size_t starts = 0, answers = 1;
  std::vector<std::string> children;
  bool nat = false;
};

struct Plan {
  std::uint64_t seed = 0;
  std::vector<Party> parties;
  std::vector<Link> links;
  bool both_start = false;
  bool nat = false;
  bool violent = false;  // crashes, power losses, deletions, blackouts
  bool strict = false;   // no loss and no violence: not one packet may be lost once the tunnel is up
  unsigned loss_percent = 0;
  unsigned duplicate_percent = 0;
  bool clones = false;           // SAs for single threads
  unsigned knocks_a_second = 0;  // of strangers who send rubbish, at each who answers; 0: none
  unsigned auth_puzzle_bits = 0;
  bool certificates = false;    // the parties prove who they are with them; else with pre-shared keys
  std::size_t path_octets = 0;  // IP datagrams larger than this get lost; 0: none
  unsigned attack_percent = 0;  // of datagrams that somebody copies, mangles or answers falsely
  Duration delay_min{}, delay_max{};
  Duration job_delay_max{};        // key exchanges take up to this long, and end in any order
  unsigned traffic_percent = 100;  // of the seconds in which a child carries packets
  Duration length{};               // then the network is perfect and nothing more happens …
  Duration healing{};              // … for this long
  Duration dark_bound{};           // the longest a child may carry nothing
  std::vector<PlannedEvent> events;

  [[nodiscard]] std::string describe() const;
};

// What --only asks for; without it, chance decides.
enum class Feature : std::uint8_t {
  kPair,
  kGateway,
  kNat,
  kImpostor,
  kAttack,
  kBothStart,
  kStrict,
  kViolent,
  kMove,
  kReauth,
  kBackup,
  kCertificates,
  kClock,
  kSmallPath,
  kClones,
  kPuzzles
};
// The first edition knows of nothing from kReauth on, the second of no clones, the third of no puzzles: the lives that
// showed faults then stay what they were.
enum class Edition : std::uint8_t { kFirst, kSecond, kThird, kFourth };
[[nodiscard]] std::optional<Feature> parse_feature(std::string_view name);
[[nodiscard]] std::string feature_names();

[[nodiscard]] Plan make_plan(std::uint64_t seed, std::optional<Feature> only = std::nullopt,
                             Edition edition = Edition::kFourth);

// ---- pieces of make_plan
void choose_parties(Random& random, Plan& plan, std::optional<Feature> only);
void choose_events(Random& random, Plan& plan);
void choose_moves(Plan& plan, std::optional<Feature> only);
void choose_second_edition(Plan& plan, std::optional<Feature> only);
void choose_third_edition(Plan& plan, std::optional<Feature> only);
void choose_fourth_edition(Plan& plan, std::optional<Feature> only);
[[nodiscard]] std::uint32_t between(Random& random, std::uint32_t low, std::uint32_t high);
[[nodiscard]] bool chance(Random& random, unsigned percent);
[[nodiscard]] inline Duration milliseconds(std::uint32_t ms) { return std::chrono::milliseconds(ms); }

}  // namespace cygnet::sim
