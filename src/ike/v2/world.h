// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything one endpoint knows, and what handlers may do to it. There is no other state.
#include <array>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/flat_map.h"
#include "base/random.h"
#include "ike/actions.h"
#include "ike/auth/jobs.h"
#include "ike/endpoint.h"
#include "ike/v2/claims.h"
#include "ike/v2/credentials.h"
#include "ike/v2/deadlines.h"
#include "ike/v2/half_open.h"
#include "ike/v2/ike_sa.h"
#include "ike/v2/newcomers.h"
#include "ike/v2/piece_budget.h"
#include "ike/v2/retry_queue.h"
#include "ike/v2/sa_index.h"
#include "ike/v2/small_paths.h"

namespace cygnet::ike::v2 {

// Lets a few through and counts the rest: for replies and reports that anybody can provoke.
class RateLimit {
 public:
  RateLimit(unsigned burst, Duration every) : tokens_(burst), burst_(burst), every_(every) {}
  [[nodiscard]] bool allow(Instant now);

 private:
  unsigned tokens_;
  unsigned burst_;
  Duration every_;
  Instant last_{};
};

struct Job {
  enum class Kind : std::uint8_t { kKeyPair, kSharedSecret, kProof, kVerification, kPuzzle };
  IkeSpi sa;  // local SPI
  About about = About::kNothing;
  Kind kind = Kind::kKeyPair;
};

// Which of the peer's addresses is in use, and how many in a row did not answer.
struct GatewayChoice {
  std::size_t index = 0, tried = 0;
};

struct World {
  World(EndpointSettings endpoint_settings, Random& randomness);

  EndpointSettings settings;
  Random& random;
  Instant now{};
  Actions actions;
  EndpointCounters counters;
  std::vector<ConnectionPtr> connections;  // changed by use_connections() only
  Credentials credentials;
  std::map<Bytes, Bytes> status_responses;  // OCSP, of our own certificates, by fingerprint
  std::vector<IpAddress> local_addresses;   // of this machine, loopback left out; empty: nobody has told

  FlatMap<IkeSpi, std::unique_ptr<IkeSa>> sas;             // by local SPI
  std::map<std::pair<IkeSpi, Endpoint>, IkeSpi> answered;  // initiator's SPI and address -> local SPI, until IKE_AUTH
  std::unordered_map<std::uint64_t, Job> jobs;
  std::vector<auth::AuthResult> auth_done;  // of finish_auth_here
  FlatMap<model::ChildId, IkeSpi> child_owner;
  Claims claims;  // of all children
  // Those that cannot be used now: what they have for their peers nobody else gets meanwhile.
  std::vector<ConnectionPtr> waiting;
  NamedRanges named_ranges;  // see ranges_of_named_peers(): of `connections`, then of `waiting`
  FlatSet<Spi> esp_spis;     // inbound, in use
  Deadlines deadlines;
  RetryQueue retries;
  std::map<std::string, GatewayChoice> gateways;                // of connections with several addresses of the peer
  std::map<std::string, std::vector<IpAddress>> last_assigned;  // to us, by connection: asked for again
  SmallPaths small_paths;
  std::uint64_t next_job = 1;
  std::uint64_t next_child = 1;
  PieceBudget piece_budget;    // of fragmented messages that wait for others
  HalfOpen half_open;          // responder's, before the end of IKE_AUTH
  std::size_t initiating = 0;  // ours that are on their way: not established, and not waiting in vain
  bool cookies_on = false, puzzles_on = false, auth_puzzles_on = false;
  Newcomers newcomers;
  SpentPuzzles spent_puzzles;
  SecretBytes cookie_secret, previous_cookie_secret;
  std::uint8_t cookie_version = 0;
  Instant cookie_rotated{};
  RateLimit stray_replies{20, std::chrono::milliseconds(100)};
  RateLimit unsolved_admitted{5, std::chrono::milliseconds(20)};  // newcomers that do not solve puzzles
  RateLimit lost_replies{100, std::chrono::milliseconds(10)};     // INVALID_IKE_SPI and INVALID_SPI to strangers
  RateLimit hints{10, std::chrono::milliseconds(200)};            // unproven news about SAs that are looked after
  RateLimit stray_reports{20, std::chrono::seconds(1)};

  // ---- lookup
  [[nodiscard]] ConnectionPtr find_connection(const std::string& name) const;
  [[nodiscard]] IkeSa* find_sa(IkeSpi local_spi) const;
  [[nodiscard]] IkeSa* find_owner(model::ChildId child) const;
  // Living IKE SAs, in the order of their SPIs. All with these identities are among them, whatever else is.
  [[nodiscard]] std::vector<IkeSa*> sas_between(const model::Identity& local, const model::Identity& remote) const;
  // All with this peer's address that show this identity, and what else there may be.
  [[nodiscard]] std::vector<IkeSa*> sas_with_peer(const IpAddress& remote, const model::Identity& local) const;
  // All with this peer's address, and what else there may be.
  [[nodiscard]] std::vector<IkeSa*> sas_at(const IpAddress& remote) const;
  // All that are this connection's or have a child of it, and what else there may be.
  [[nodiscard]] std::vector<IkeSa*> sas_of(const std::string& connection) const;
  // Connections that may expect this identity, and some that do not, in the order of the configuration.
  [[nodiscard]] std::vector<ConnectionPtr> connections_expecting(const model::Identity& peer) const {
    return connection_index.expecting(peer);
  }
  // Of the connections whose addresses allow this path, the first of each kind of proposals, the most specific first.
  [[nodiscard]] std::vector<ConnectionPtr> connections_for(const Path& path) const {
    return connection_index.by_path(path.local.address, path.remote.address);
  }
  void use_connections(std::vector<ConnectionPtr> all);
  void use_waiting(std::vector<ConnectionPtr> all);
  // By its place in named_ranges.
  [[nodiscard]] const model::Connection& named_at(std::size_t place) const {
    return place < connections.size() ? *connections[place] : *waiting[place - connections.size()];
  }

  // ---- making things
  // Whether the kernel carries what belongs to it.
  [[nodiscard]] bool in_kernel(const model::Connection& connection) const;
  [[nodiscard]] IkeSpi new_ike_spi();
  // RFC 4303 section 2.1: 1 to 255 are reserved.
  [[nodiscard]] Spi new_esp_spi(const model::Connection& connection);
  [[nodiscard]] model::ChildId new_child_id() { return model::ChildId(next_child++); }
  IkeSa& add_sa(std::unique_ptr<IkeSa> sa);
  // Orders a key pair (peer_public unset), a shared secret (own set), or both at once.
  void order_job(IkeSa& sa, About about, model::KeGroup group, std::optional<crypto::KeyPair> own,
                 std::optional<Bytes> peer_public);

  // Orders a proof or a verification with long-term keys.
  void order_auth(IkeSa& sa, About about, decltype(auth::AuthJob::what) what);
  // One that needs no such key: its result is there, and comes back at the end of the event as if it had been ordered.
  void finish_auth_here(IkeSa& sa, About about, bool proof, auth::AuthResult result);

  // Orders the solution of a puzzle (RFC 8019): before IKE_SA_INIT (kInit) or before IKE_AUTH (kAuth).
  void order_puzzle(IkeSa& sa, About about, model::PrfId prf, unsigned difficulty, Bytes text);

  // ---- telling
  void act(Action action) { actions.push_back(std::move(action)); }
  void report(Severity severity, const std::string& connection, const std::string& peer, std::string event,
              std::string message);
  void report(const IkeSa& sa, Severity severity, std::string event, std::string message);
  void checkpoint(const IkeSa& sa);
  void send_raw(const Path& path, Bytes bytes);
  // For answers behind which there is no state that had to be stored first.
  void send_at_once(const Path& path, Bytes bytes);

  // ---- end of a turn
  // Every SA that a turn changed is touched, so that its deadline is looked at again.
  void touch(const IkeSa& sa) {
    const auto spi = sa.local_spi();
    if (touched.empty() || touched.back() != spi) touched.push_back(spi);
  }
  // Sets deadlines of what was touched, and removes what died.
  void settle();

 private:
  void index_named_ranges();
  [[nodiscard]] std::vector<IkeSa*> living(SaIndex::Name name) const;
  void index(IkeSa& sa);
  [[nodiscard]] std::uint64_t new_auth_job(IkeSa& sa, About about, bool proof);

  std::vector<IkeSpi> touched;
  std::vector<SaIndex::Name> naming;  // kept for its memory
  SaIndex sa_index;
  ConnectionIndex connection_index;
};

// Random jitter: `d` plus or minus `percent` of it.
[[nodiscard]] Duration jitter(Random& random, Duration d, unsigned percent);

}  // namespace cygnet::ike::v2
