// SPDX-License-Identifier: Apache-2.0
#pragma once

// One life: some sides, a bad network, and a plan. Runs to its end or to the first broken invariant. life.cc has the
// clock and the events, life_network.cc what becomes of datagrams and packets, life_checks.cc the invariants.
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "sim/attacker.h"
#include "sim/knockers.h"
#include "sim/nat_box.h"
#include "sim/plan.h"
#include "sim/wire_watch.h"
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
  kDropDeletes,       // no Delete ever arrives
  kForgetMoves,       // children stay where they were
  kShareSecret,       // the impostor knows the secret
  kNoClock            // certificates are looked at as if it were always the same day
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
  std::uint64_t forgeries = 0;
  std::uint64_t second_puzzles = 0;  // solved before IKE_AUTH, at those who live in the end
  std::uint64_t digest = 0;          // of everything sent, in order: equal runs are equal
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
    std::size_t link = 0;
    std::size_t from = 0, to = 0;
    std::string child;
    std::optional<Instant> dark_since;
    bool was_up = false;
    std::optional<IpAddress> given;  // by the pool of the peer
  };
  struct LinkState {
    bool taken_down = false;                // by request; nothing is to be expected of it
    std::optional<std::size_t> removed_at;  // the end whose configuration does not have it
    unsigned agreed_seconds = 0;
    std::string last_disagreement;
  };
  struct WallClock {
    std::int64_t wrong_s = 0;
    Instant since{};
  };
  struct Worker {  // finishes the jobs of one side
    Instant due = kNever;
  };

  void add_side(const Party& party);
  void configure(std::size_t index);
  void on_report(std::size_t index, const ike::Report& report);
  void step();
  void begin_healing();
  [[nodiscard]] std::string who_is_busy() const;
  void deliver_next();
  void arrive_late();
  void fire_timers();
  void finish_job();
  [[nodiscard]] Instant timer_of(std::size_t index) const;
  [[nodiscard]] Instant work_of(std::size_t index);

  void perform(const PlannedEvent& event);
  void perform_on_machine(const PlannedEvent& event);
  void perform_on_network(const PlannedEvent& event);
  void expire(const PlannedEvent& event, bool hard);
  void reload(const PlannedEvent& event);
  void move(const PlannedEvent& event);
  void restart(std::size_t index);
  void set_clock(std::size_t index, std::int64_t wrong_s);
  void tell_addresses(std::size_t index);
  [[nodiscard]] std::vector<model::Connection> configured(std::size_t index) const;
  [[nodiscard]] bool wanders(std::size_t index) const { return !plan_.parties[index].places.empty(); }
  // Can the address of a gateway be reached?
  [[nodiscard]] bool is_dark(const IpAddress& address) const { return dark_addresses_.contains(address); }
  [[nodiscard]] bool all_dark(std::size_t index) const;
  // Neither end can believe the other's certificate, nor its own: nothing new comes up.
  [[nodiscard]] bool clock_is_off(const Link& link) const;
  [[nodiscard]] bool goes_through_nat(const Link& link) const;
  void bring_up(std::size_t link);

  void on_send(std::size_t from, const ike::SendDatagram& datagram);
  [[nodiscard]] std::optional<std::size_t> find_side(const IpAddress& address) const;
  [[nodiscard]] bool translate(ike::Path& path) { return !nat_ || nat_->translate(path); }
  void fly(std::size_t to, const ike::Path& path, const Bytes& bytes);
  void be_attacked();
  void be_bothered();
  void add_forgery(std::optional<Forgery> forgery);
  [[nodiscard]] Bytes perverted(std::size_t from, const Bytes& bytes);

  void tick();
  void carry(Flow& flow, bool real);
  [[nodiscard]] bool try_packet(const Flow& flow, bool real);

  void check_always();
  void check_identities();
  void check_selectors(std::size_t index);
  void check_leases();
  void check_proofs(std::size_t index);
  void check_no_lease_leaks();
  void check_links();
  void check_healed();
  [[nodiscard]] std::optional<std::string> clones_missing(const Link& link,
                                                          const std::vector<ike::IkeStatus>& rows) const;
  [[nodiscard]] std::optional<std::string> disagreement(const Link& link,
                                                        const std::vector<std::vector<ike::IkeStatus>>& all) const;
  void fail(const std::string& what);
  void trace(const std::function<std::string()>& text);
  [[nodiscard]] test::Side& side(std::size_t index) { return *sides_[index]; }

  Plan plan_;
  LifeOptions options_;
  SeededRandom network_;  // fate of datagrams
  Attacker attacker_;
  Knockers knockers_;
  std::vector<std::unique_ptr<test::Side>> sides_;
  std::vector<bool> asleep_;
  std::vector<Worker> workers_;
  std::vector<LinkState> links_;
  std::vector<Flow> flows_;
  std::optional<NatBox> nat_;
  WireWatch watch_;
  std::priority_queue<Delivery, std::vector<Delivery>, std::greater<>> air_;
  std::deque<LatePacket> late_;
  std::size_t next_event_ = 0;
  Instant start_{std::chrono::hours(1)};
  Instant now_ = start_;
  Instant next_tick_ = start_ + std::chrono::seconds(1);
  std::uint64_t order_ = 0;
  bool ike_dark_ = false, esp_dark_ = false;
  std::set<IpAddress> dark_addresses_;
  std::vector<Instant> awake_since_;
  std::vector<WallClock> clocks_;                                  // of each side
  std::map<std::pair<std::size_t, std::string>, Instant> proofs_;  // side and connection: when it was last shown one
  bool healing_ = false;
  unsigned spins_ = 0;
  std::uint64_t datagrams_before_last_stretch_ = 0;
  LifeResult result_;
};

}  // namespace cygnet::sim
