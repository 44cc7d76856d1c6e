// SPDX-License-Identifier: Apache-2.0
#pragma once

// One IKE daemon's protocol brain: bytes, time and randomness in, actions out (RFC 7296). Single-threaded, never
// blocks.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "ike/actions.h"
#include "ike/address_source.h"
#include "model/connection.h"

namespace cygnet::ike {

struct EndpointSettings {
  model::Setup setup;
  std::uint32_t half_open_timeout_s = 30;
  AddressSource* addresses = nullptr;  // outlives the endpoint; null: no address is assigned
  // What tokens for quick crash detection (RFC 6290) are made of: the same after a reboot. Empty: none are made.
  SecretBytes crash_secret;
  // Whether the kernel carries a connection's packets, where our own engine carries those of others: each has its half
  // of the SPIs (model::kKernelSpiBit). Empty: all SPIs are one engine's.
  std::function<bool(const model::Connection&)> in_kernel;
};

// Keys for Wireshark; handed out only when config setup allows it.
struct ExportedIkeKeys {
  IkeSpi spi_i, spi_r;
  Bytes sk_ei, sk_er, sk_ai, sk_ar;
  model::ChosenIke algorithms;
};

struct ChildStatus {
  std::string name;
  model::ChildId id;
  Spi spi_in, spi_out;
  std::string algorithms;
  model::Mode mode{};
  model::TrafficSelectors local, remote;
  bool udp_encapsulation = false;
  Instant established{};
  Instant rekey_at{};  // kNever: not planned
  std::uint64_t rekeys = 0;
  std::optional<std::uint16_t> resource;  // the thread that it is for (RFC 9611); none: all
};
struct IkeStatus {
  std::string connection;
  std::string state;  // a state name of the transition table
  bool initiator = false;
  IkeSpi spi_i, spi_r;
  Path path;
  std::string local_id, remote_id;
  std::string algorithms;
  bool nat_local = false, nat_remote = false;              // who is behind a NAT
  std::vector<IpAddress> assigned_local, assigned_remote;  // by a configuration payload
  std::vector<IpAddress> dns;                              // told to us with it
  Instant established{};
  Instant rekey_at{};
  std::vector<ChildStatus> children;
  std::vector<std::string> pending;  // exchanges under way
};
struct EndpointCounters {
  std::uint64_t datagrams_in = 0, datagrams_out = 0, malformed = 0, unknown_spi = 0, retransmits_sent = 0,
                retransmits_answered = 0, cookies_sent = 0, half_open_refused = 0, integrity_failed = 0, half_open = 0,
                established = 0, negotiations_failed = 0, fragments_in = 0, fragments_out = 0, fragments_refused = 0,
                cookies_refused = 0, crowd_refused = 0, puzzles_sent = 0, puzzles_solved = 0, puzzles_refused = 0,
                auth_puzzles_sent = 0, auth_puzzles_solved = 0, auth_puzzles_refused = 0,
                identities_refused = 0,  // had as many IKE SAs as one may
      fragments_late = 0;                // of messages that were complete already: the peer has sent them again
};

class IkeEndpoint {
 public:
  IkeEndpoint(EndpointSettings settings, Random& random);
  ~IkeEndpoint();
  IkeEndpoint(const IkeEndpoint&) = delete;
  IkeEndpoint& operator=(const IkeEndpoint&) = delete;

  // Replaces the configuration. SAs of connections that are equal before and after are not touched; those of changed or
  // removed ones are deleted (changed ones with start=kStart come up again). Connections are oriented. Secrets stay
  // with whoever performs auth::AuthJob.
  void configure(Instant now, std::vector<model::Connection> connections, const model::PublicCredentials& credentials);

  // The same where only some connections are other than they were, or new; `order` names all there are now, in the
  // order of the configuration.
  void reconfigure(Instant now, std::vector<model::Connection> changed, const std::vector<std::string>& order);

  // Connections that cannot be used now, because an address is missing for instance: they neither begin nor answer, and
  // nobody else gets what they have for their peers. All there are from now on; configure() leaves them.
  void use_waiting(const std::vector<model::Connection>& waiting);

  // OCSP responses about our own certificates, by Certificate::fingerprint(): sent along to peers that ask for them
  // (RFC 4806). All there are from now on; configure() leaves them. Whoever gives them sees to it that they are good.
  void use_status_responses(std::map<Bytes, Bytes> responses);

  void handle_datagram(Instant now, const Path& path, ByteView bytes);
  void on_job_done(Instant now, const JobResult& result);
  void on_auth_done(Instant now, const auth::AuthResult& result);
  void on_puzzle_done(Instant now, const PuzzleResult& result);
  void on_timer(Instant now);
  [[nodiscard]] Instant next_deadline() const;  // kNever: none

  // connection and child by name; child empty: all children of the connection. `narrow_to`: the packet of an acquire,
  // sent as first selector (RFC 7296 section 2.9). Path's addresses are the resolved ones of the connection.
  void initiate(
      Instant now, const std::string& connection, const std::string& child,
      const std::optional<std::pair<model::TrafficSelector, model::TrafficSelector>>& narrow_to = std::nullopt);
  void terminate(Instant now, const std::string& connection, const std::string& child);
  void rekey(Instant now, const std::string& connection, const std::string& child, bool ike_sa);
  // Tells all peers (delete payloads) and forgets everything.
  void shut_down(Instant now);

  // From the data plane.
  void on_child_expiring(Instant now, model::ChildId child, bool hard);
  // It did not take one of the child's SAs; whoever knows why has told it.
  void on_child_refused(Instant now, model::ChildId child, const std::string& why);
  void on_child_activated(Instant now, model::ChildId child);
  void on_peer_moved(Instant now, model::ChildId child, const cygnet::Endpoint& remote, const cygnet::Endpoint& local);
  // The addresses this machine has, loopback and those inside of tunnels left out; at start and whenever they change.
  void on_local_addresses(Instant now, std::vector<IpAddress> addresses);
  void on_usage(Instant now, model::ChildId child, Instant last_inbound, Instant last_outbound = {});
  // ESP came for an SPI that the data plane does not have.
  void on_unknown_spi(Instant now, Spi spi, const cygnet::Endpoint& local, const cygnet::Endpoint& remote, bool udp);

  // After a restart: checkpoints as put, and the SAs the data plane still holds. IKE SAs without their children, and
  // children without their IKE SA, are removed (actions). Call after configure().
  void adopt(Instant now, const std::vector<std::pair<std::string, Bytes>>& checkpoints,
             const std::vector<model::SaSpec>& sas);

  [[nodiscard]] Actions take_actions();
  // The same into a vector whose contents are over; its memory is used for the next ones.
  void take_actions(Actions& into);
  // Of one connection and of the children it has on IKE SAs of others; empty: of all.
  [[nodiscard]] std::vector<IkeStatus> status(const std::string& connection = {}) const;
  [[nodiscard]] const EndpointCounters& counters() const;
  // Ours that are on their way; and those that wait for their turn, or for another attempt.
  [[nodiscard]] std::size_t initiating() const;
  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::vector<ExportedIkeKeys> export_keys() const;  // empty unless allowed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cygnet::ike
