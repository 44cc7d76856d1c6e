// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an IKE endpoint wants done. It does nothing itself: no socket, clock, thread or entropy behind this line.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/strong.h"
#include "crypto/key_exchange.h"
#include "ike/auth/jobs.h"
#include "model/sa_spec.h"

namespace cygnet::ike {

// Where a datagram came from or goes to. Port 4500 (or whatever the peer uses once NAT was found) carries the non-ESP
// marker; the marker itself is added and removed by the daemon: `marked` says that it is (to be) there.
struct Path {
  Endpoint local;
  Endpoint remote;
  bool marked = false;
  bool operator==(const Path&) const = default;
};

struct SendDatagram {
  Path path;
  Bytes bytes;
  bool at_once = false;  // depends on nothing that must be in place first
};
// Public-key work, run by the daemon on its pool and answered with IkeEndpoint::on_job_done. Deterministic given its
// seed.
struct KeyExchangeJob {
  std::uint64_t job = 0;
  model::KeGroup group{};
  std::optional<crypto::KeyPair> own;  // unset: generate one (from seed)
  std::optional<Bytes> peer_public;    // set: derive the shared secret too
  SecretBytes seed;                    // 64 random octets, feeds the generation
};
struct JobResult {
  std::uint64_t job = 0;
  std::optional<crypto::KeyPair> own;
  std::optional<SecretBytes> shared_secret;
  std::string error;  // not empty: failed
};
// Four keys to be found for a busy responder (RFC 8019): ike/puzzle.h on the pool, then IkeEndpoint::on_puzzle_done.
struct PuzzleJob {
  std::uint64_t job = 0;
  model::PrfId prf{};
  unsigned difficulty = 0;
  Bytes text;  // the PRF is over it: a cookie, or Nr | SPIr
};
struct PuzzleResult {
  std::uint64_t job = 0;
  Bytes keys;         // empty: failed
  std::string error;  // why
};
struct InstallSa {
  model::SaSpec spec;
};
struct RemoveSa {
  model::Direction direction{};
  Spi spi;
  model::ChildId child;
};
// A peer may soon send on this inbound SPI, before its SA is installed: what comes waits a moment.
struct ExpectSpi {
  Spi spi;
};
struct ActivateChild {  // stop waiting: use the standby outbound SA
  model::ChildId child;
};
struct UpdateChildEndpoints {
  model::ChildId child;
  Endpoint local;
  Endpoint remote;
  bool udp_encapsulation = false;
  std::uint32_t keepalive_s = 0;  // RFC 3948 section 4; 0: none
};
// Ask when both SAs of the child were last used; answered with IkeEndpoint::on_usage.
struct QueryUsage {
  model::ChildId child;
  Spi inbound_spi;
};
// For the daemon's routes, addresses and policies, and for people.
struct ChildUp {
  std::string connection;
  std::string child;
  model::ChildId id;
  std::optional<model::ChildId> replaces;  // a rekey
  model::TrafficSelectors local;           // as negotiated
  model::TrafficSelectors remote;
  Endpoint local_endpoint;
  Endpoint remote_endpoint;
  model::Mode mode{};
  std::string algorithms;  // model::to_string(ChosenEsp)
};
struct ChildDown {
  std::string connection;
  std::string child;
  model::ChildId id;
  bool replaced = false;  // by a rekey: routes and policies stay
  std::string reason;
};
// The peer of a child that is no longer needed unless packets ask for it is dead, and dpdaction= says hold or restart:
// what the child protects is held back until it is up again or taken down. Comes before the child's SAs go.
struct HoldChild {
  std::string connection;
  std::string child;
};
struct IkeUp {
  std::string connection;
  IkeSpi spi_i, spi_r;
  bool initiator = false;
};
struct IkeDown {
  std::string connection;
  IkeSpi spi_i, spi_r;
  bool replaced = false;
  std::string reason;
};
// The peer assigned us these (RFC 7296 section 2.19): comes before the SAs and policies that use them. Holders of one
// connection may overlap; what the newest says counts, and an address is needed until its last holder withdraws.
struct AddressesAssigned {
  std::string connection;
  std::uint64_t holder = 0;
  std::vector<IpAddress> addresses;
  std::vector<IpAddress> dns;
  std::vector<std::string> domains;  // that the DNS servers are for; none: all names
};
struct AddressesWithdrawn {
  std::string connection;
  std::uint64_t holder = 0;
};
// An initiation that was asked for (initiate(), start, ondemand) ended: for `cygnet up` and for held packets.
struct InitiationDone {
  std::string connection;
  std::string child;
  bool ok = false;
  bool will_retry = false;
  std::string message;  // what happened, where, what to do next; may have several lines (proposal difference)
  // The child is up, and it is this packet alone (its remote end) that the peer does not protect.
  std::optional<model::TrafficSelector> refused_packet = {};
};
// One line of the negotiation, for the log and for `cygnet up` / `cygnet monitor`. One entry an event.
struct Report {
  Severity severity = Severity::kInfo;
  std::string connection;  // empty: none matched yet
  std::string peer;        // endpoint as text
  std::string event;       // stable kebab-case word: "ike-sa-init-sent", "no-proposal-chosen", "auth-failed", …
  std::string message;     // the sentence
};
// State of one IKE SA, to be adopted by the next ike process. Written before the datagram that depends on it.
struct Checkpoint {
  std::string key;
  Bytes value;
};
struct DropCheckpoint {
  std::string key;
};

// auth::AuthJob is performed by whoever holds the long-term keys and answered with IkeEndpoint::on_auth_done.
using Action =
    std::variant<SendDatagram, KeyExchangeJob, PuzzleJob, auth::AuthJob, InstallSa, RemoveSa, ExpectSpi, ActivateChild,
                 UpdateChildEndpoints, QueryUsage, ChildUp, ChildDown, HoldChild, IkeUp, IkeDown, AddressesAssigned,
                 AddressesWithdrawn, InitiationDone, Report, Checkpoint, DropCheckpoint>;
using Actions = std::vector<Action>;

}  // namespace cygnet::ike
