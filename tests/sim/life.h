// SPDX-License-Identifier: Apache-2.0
#pragma once

// One life: two sides, a bad network, and a plan. Runs to its end or to the first broken invariant.
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <vector>

#include "sim/plan.h"
#include "sim/wire_watch.h"
#include "support/nat.h"
#include "support/side.h"

namespace cygnet::sim {

// Deliberate faults, to see that the invariants notice.
enum class Mutation : std::uint8_t {
  kNone,
  kForgetRemovals,    // some SAs are never removed from the data plane
  kForgetInbound,     // some inbound SAs are never installed
  kIgnoreActivation,  // a standby SA waits for ever
  kStaleCheckpoints,  // what is adopted is one state behind
  kRepeatRandomness,  // a restarted process sees the random numbers of the first one again
  kSendInClear,       // the Encrypted payload of some messages is left off
  kDropDeletes        // no Delete ever arrives
};
[[nodiscard]] std::optional<Mutation> parse_mutation(std::string_view name);
[[nodiscard]] std::vector<std::pair<std::string_view, Mutation>> all_mutations();

struct LifeOptions {
  Mutation mutation = Mutation::kNone;
  bool real_key_exchange = false;
  std::function<void(const std::string&)> trace;  // every step, for --verbose
};

struct LifeResult {
  std::optional<std::string> fault;  // "at 12.345 s: …"
  std::uint64_t datagrams = 0;
  std::uint64_t packets = 0;
  std::uint64_t rekeys = 0;
  std::uint64_t digest = 0;  // of everything sent, in order: equal runs are equal
};

class Life {
 public:
  Life(Plan plan, LifeOptions options);
  [[nodiscard]] LifeResult run();

 private:
  struct Delivery {
    Instant at{};
    std::uint64_t order = 0;
    std::size_t to = 0;
    ike::Path path;
    Bytes bytes;
    bool operator>(const Delivery& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };
  // A packet on its way in a life where nothing may be lost: whenever it arrives, it must open.
  struct LatePacket {
    Instant at{};
    std::size_t to = 0;
    Spi spi;
    SecretBytes key;
  };
  // One direction of one child.
  struct Flow {
    std::optional<Instant> dark_since;
    bool was_up = false;
  };

  void add_side(const char* name, const IpAddress& address, const model::Connection& connection);
  void step();
  void deliver_next();
  void arrive_late();
  void expire(test::Side& who, const std::string& child, bool hard);
  void fire_timers();
  void perform(const PlannedEvent& event);
  void on_send(std::size_t from, const ike::SendDatagram& datagram);
  void fly(std::size_t to, const ike::Path& path, const Bytes& bytes);
  [[nodiscard]] Bytes perverted(const Bytes& bytes);

  void tick();
  void carry(std::size_t from, std::size_t child, bool real);
  [[nodiscard]] bool try_packet(std::size_t from, const std::string& child, bool real);

  void check_always();
  void check_healed();
  [[nodiscard]] std::optional<std::string> disagreement() const;
  void fail(const std::string& what);
  void trace(const std::function<std::string()>& text);
  [[nodiscard]] test::Side& side(std::size_t index) { return *sides_[index]; }
  [[nodiscard]] const model::Connection& connection() const { return plan_.a; }

  Plan plan_;
  LifeOptions options_;
  SeededRandom network_;  // fate of datagrams
  std::vector<std::unique_ptr<test::Side>> sides_;
  std::optional<test::Nat> nat_;
  WireWatch watch_;
  std::priority_queue<Delivery, std::vector<Delivery>, std::greater<>> air_;
  std::deque<LatePacket> late_;
  std::size_t next_event_ = 0;
  Instant start_{std::chrono::hours(1)};
  Instant now_ = start_;
  Instant next_tick_ = start_ + std::chrono::seconds(1);
  std::uint64_t order_ = 0;
  bool blackout_ = false;
  bool healing_ = false;
  unsigned spins_ = 0;
  unsigned agreed_seconds_ = 0;
  std::string last_disagreement_;
  std::vector<Flow> flows_;  // child * 2 + from
  LifeResult result_;
};

}  // namespace cygnet::sim
