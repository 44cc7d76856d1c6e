// SPDX-License-Identifier: Apache-2.0
#pragma once

// One end of a test: a real IkeEndpoint, a recording data plane under it, and everything it said.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "ike/auth/local_keys.h"
#include "ike/endpoint.h"
#include "support/data_plane.h"
#include "support/key_ring.h"
#include "support/pool_source.h"

namespace cygnet::test {

// Faults made on purpose, to see that a test notices.
struct Sabotage {
  bool forget_removals = false;    // every third RemoveSa
  bool forget_inbound = false;     // every fifth inbound InstallSa
  bool ignore_activation = false;  // ActivateChild, and packets, do not end a standby
  bool forget_moves = false;       // every UpdateChildEndpoints
  bool stale_checkpoints = false;  // what is stored is the state before the last
  bool repeat_randomness = false;  // after a restart the random stream begins anew
};

struct SideOptions {
  std::string name;
  IpAddress address;
  std::uint64_t seed = 1;
  ike::EndpointSettings settings;
  // Key exchanges without mathematics: thousands of simulated lives need no real curve. Same sizes, same agreement.
  bool toy_key_exchange = false;
  // What the side said is kept for exchange tests; a simulation would only fill memory with it.
  bool keep_history = true;
  Sabotage sabotage;
};

class Side {
 public:
  explicit Side(SideOptions options);

  void configure(Instant now, std::vector<model::Connection> connections, std::vector<model::SharedSecret> secrets,
                 model::PublicCredentials credentials = {}, std::vector<model::PrivateKeySource> private_keys = {});
  // Any call into the endpoint; its actions are performed before this returns.
  void act(Instant now, const std::function<void(ike::IkeEndpoint&)>& call);

  // The host has another address; whoever configures tells the endpoint.
  void move_to(const IpAddress& address) { options_.address = address; }

  // The process dies. The data plane and the checkpoints stay where they are.
  void crash();
  // The machine dies: nothing stays.
  void lose_power();
  // A new process: configured as before; adopts what is there.
  void restart(Instant now);
  [[nodiscard]] bool alive() const { return endpoint_ != nullptr; }

  // How far the machine's wall clock is from the right time; nothing but certificates and leases looks at it.
  std::int64_t wall_wrong_s = 0;

  // While set, jobs (key exchanges, proofs, verifications) wait for finish_jobs().
  bool hold_jobs = false;
  void finish_jobs(Instant now);
  [[nodiscard]] std::size_t waiting_jobs() const { return jobs_.size(); }
  void finish_job(Instant now, std::size_t index);  // in any order
  // Counts down with each action performed; at 0 the side crashes in the middle of what it does. Negative: never.
  int crash_after_actions = -1;

  [[nodiscard]] ike::IkeEndpoint& endpoint() { return *endpoint_; }
  [[nodiscard]] const ike::IkeEndpoint& endpoint() const { return *endpoint_; }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] const IpAddress& address() const { return options_.address; }
  [[nodiscard]] KeyRing& keys() { return keys_; }
  [[nodiscard]] const KeyRing& keys() const { return keys_; }
  [[nodiscard]] Instant next_deadline() const { return alive() ? endpoint_->next_deadline() : kNever; }

  [[nodiscard]] bool reported(std::string_view event) const;
  // All report messages of one event, joined by newlines.
  [[nodiscard]] std::string messages(std::string_view event) const;
  void forget_history();

  DataPlane plane;
  PoolSource addresses;  // of the connections' pools; a new process begins without leases
  std::vector<ike::AddressesAssigned> assigned;
  std::vector<ike::AddressesWithdrawn> withdrawn;
  std::vector<ike::Report> reports;
  std::vector<ike::InitiationDone> done;
  std::vector<ike::ChildUp> child_ups;
  std::vector<ike::ChildDown> child_downs;
  std::vector<std::pair<std::string, std::size_t>> holds;  // child, SAs that stood when it was to be held
  std::vector<ike::IkeUp> ike_ups;
  std::vector<ike::IkeDown> ike_downs;
  std::vector<Spi> expected_spis;
  std::map<std::string, Bytes> checkpoints;
  std::function<void(const ike::SendDatagram&)> on_send;
  std::function<void(const ike::Report&)> on_report;
  std::function<void(const std::string&)> on_event;  // SAs, ups and downs, as text

 private:
  void drain(Instant now);
  bool perform(Instant now, const ike::Action& action);
  bool perform_on_plane(Instant now, const ike::Action& action);
  void record(const ike::Action& action);
  void store(const ike::Checkpoint& checkpoint);
  void run(Instant now, const ike::Action& job);

  SideOptions options_;
  SeededRandom random_;
  std::vector<model::Connection> connections_;
  model::PublicCredentials credentials_;
  ike::auth::LocalKeys long_term_keys_{{}};
  crypto::TrustStore trust_;
  std::unique_ptr<ike::IkeEndpoint> endpoint_;
  KeyRing keys_;
  std::vector<ike::Action> jobs_;
  std::map<std::string, Bytes> newest_;  // stale_checkpoints: what a sound store would hold
  unsigned removals_ = 0;
  unsigned inbounds_ = 0;
  bool draining_ = false;
};

}  // namespace cygnet::test
