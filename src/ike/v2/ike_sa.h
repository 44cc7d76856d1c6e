// SPDX-License-Identifier: Apache-2.0
#pragma once

// An IKE SA: its state, what that state carries, the exchanges under way on it, and its children.
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/roomy_optional.h"
#include "crypto/ike_cipher.h"
#include "crypto/key_exchange.h"
#include "crypto/public_key.h"
#include "ike/actions.h"
#include "ike/v2/child_sa.h"
#include "ike/v2/keymat.h"
#include "ike/v2/reassembly.h"
#include "model/identity.h"
#include "wire/ike/message.h"

namespace cygnet::ike::v2 {

enum class State : std::uint8_t {
  kNone,            // there is no IKE SA yet
  kInitGenerating,  // initiator: the key pair is being made
  kInitSent,        // initiator: IKE_SA_INIT request on its way
  kInitSolving,     // initiator: the responder's puzzle is being solved
  kInitDeriving,    // initiator: answer is there, the shared secret is being computed
  kAuthSent,        // initiator: IKE_AUTH request on its way
  kVerifying,       // the peer's IKE_AUTH message is there, its proof is being checked
  kProving,         // our own proof is being made
  kAnswering,       // responder: key pair and shared secret are being computed
  kInitAnswered,    // responder: waiting for IKE_AUTH
  kInitGuarded,     // responder: the same, with the solution of a puzzle; there are no keys before it
  kGuardDeriving,   // responder: the solution is there, the shared secret is being computed
  kEstablished,
  kRekeyed,   // a newer IKE SA took over; waits for the Delete
  kDeleting,  // our Delete is on its way
  kDead       // to be removed as soon as the turn ends
};
[[nodiscard]] std::string_view to_string(State state);

// What a request of ours, or a job, is about.
enum class About : std::uint8_t {
  kNothing,
  kInit,
  kAuth,
  kNewChild,
  kRekeyChild,
  kRekeyIke,
  kDeleteChild,
  kDeleteIke,
  kLiveness,
  kPeerRequest,
  kUpdateAddresses,  // RFC 4555: where we are now
  kRoutability,      // RFC 4555: is the peer where it says?
  kToken             // RFC 6290: the token of an IKE SA that was rekeyed
};
[[nodiscard]] std::string_view to_string(About about);

// Lives from IKE_SA_INIT to the end of IKE_AUTH.
struct Handshake {
  Bytes nonce_i, nonce_r;
  crypto::KeyPair own;
  model::KeGroup group{};
  Bytes peer_public;
  Bytes request, response;  // both IKE_SA_INIT messages as they went over the wire: AUTH covers them
  std::optional<wire::ike::PuzzleDemand> auth_puzzle;  // to be solved before IKE_AUTH (RFC 8019 section 7.2)
  std::vector<crypto::HashId> peer_hashes;  // the peer verifies signatures over these; empty: it knows no RFC 7427
  bool raw_key_wanted = false;              // the peer asked for our raw public key
  bool certificate_wanted = false;          // the peer asked for a certificate,
  bool status_wanted = false;               // and for an OCSP response about it
  Bytes wanted_authorities;                 // of these authorities: SHA-1 hashes of their keys, 20 octets each
  // initiator
  std::vector<model::Proposal> offered;
  Bytes cookie, solution;  // what a busy responder wants back
  Bytes auth_solution;     // of the puzzle that goes with IKE_AUTH
  unsigned cookies_seen = 0;
  std::string refusal;  // what an unprotected answer said; it may be forged
  std::vector<model::KeGroup> groups_tried;
  bool childless = false;        // RFC 6023: the responder takes an IKE_AUTH without a child
  std::vector<ChildWant> wants;  // the first goes into IKE_AUTH
  Spi child_spi;
  model::TrafficSelectors tsi, tsr;  // as proposed
  wire::ike::Payloads answer;        // the IKE_AUTH response while its proof is being checked
  // responder
  std::vector<ConnectionPtr> candidates;  // that the peer may be, the best first, while its proof is being checked
  std::string verified_with;              // what proved the peer's identity, for people
  Endpoint peer;                          // where the request came from
  unsigned repeats = 0;                   // how often its answer was sent again
  bool judged = false;                    // it counts as somebody who has the keys, or as one who has not
  model::Proposal reply;                  // with the number of the accepted proposal
  std::uint8_t reply_number = 1;
};

// Another CHILD_SA or IKE SA, made by the peer while our own request for the same thing was under way.
struct Collision {
  Bytes nonce_i, nonce_r;  // of the peer's exchange
  model::ChildId child;    // that the peer's exchange created
  IkeSpi ike_spi;          // our SPI of the IKE SA that the peer's exchange created
  bool old_deleted = false;
};

// A request of ours after IKE_AUTH, waiting or under way.
struct Task {
  About about = About::kNothing;
  ChildWant want;        // kNewChild; kRekeyChild: of what
  model::ChildId child;  // kRekeyChild: the old one; kDeleteChild
  Spi orphan_spi;        // kDeleteChild of something only the peer has: our inbound SPI; kLiveness: one that we do not
                         // know and the peer sends on
  bool orphan_is_ah = false;
  std::string reason;  // kDeleteIke: for people
  unsigned tries = 0;  // answered with TEMPORARY_FAILURE
  Instant not_before{};
  // Under way:
  Bytes nonce;
  model::KeGroup group{};
  std::vector<model::KeGroup> groups_tried;
  std::optional<crypto::KeyPair> own;
  Spi new_spi;
  IkeSpi new_ike_spi;
  std::vector<model::Proposal> offered;
  model::TrafficSelectors tsi, tsr;
  // The peer's answer while the shared secret is computed:
  Bytes peer_nonce;
  wire::ike::Payloads answer;
  std::optional<Collision> collision;
  std::vector<Spi> gone;  // deleted by the peer before its answer told us that it had made them
};

// A request of ours on the wire: one datagram, or its fragments.
struct Outstanding {
  MessageId id;
  wire::ike::ExchangeType exchange{};
  std::vector<Bytes> datagrams;
  wire::ike::PayloadType first_inner{};  // of a fragmented message, and its plaintext: to be cut smaller
  SecretBytes plaintext;
  Instant first_sent{};
  Instant retransmit_at{};
  unsigned sent = 1;
};

// A request of the peer whose answer waits for a job.
struct PeerRequest {
  MessageId id;
  wire::ike::Payloads payloads;
  About about = About::kNothing;  // kAuth, kNewChild, kRekeyChild, kRekeyIke
};

// Addresses that may change (RFC 4555).
struct Mobility {
  bool agreed = false;                    // both ends said MOBIKE_SUPPORTED
  bool unproven = false;                  // responder: the children wait for the check of the peer's new address
  Path proven;                            // while unproven: where the children are
  std::optional<Endpoint> esp_remote;     // where encapsulated ESP comes from, if not from where IKE does
  std::vector<IpAddress> peer_addresses;  // others that the peer has
  Path told;                              // what the update, or the check, under way speaks of
  Bytes cookie2;                          // of the check under way
  Bytes seen_as;                          // the peer's last NAT_DETECTION_DESTINATION_IP: our address as it sees it
};

// By a configuration payload (RFC 7296 section 2.19): to the peer from our pools, or to us.
struct Assigned {
  bool by_us = false;
  std::uint64_t holder = 0;  // gives them back with this number; stays when the IKE SA is rekeyed
  std::vector<IpAddress> addresses;
  std::vector<IpAddress> dns;        // told to us
  std::vector<std::string> domains;  // names that these servers know; none: all
};

struct Deferred {
  Path path;
  Bytes bytes;
};

struct IkeSa {
  State state = State::kNone;
  bool initiator = false;
  // We began the first IKE SA of its line, whoever rekeyed it since. RFC 4555 section 1.3: 'the party who originally
  // initiated the first IKE_SA (in a series of possibly several rekeyed IKE_SAs)'. Who that is looks after its
  // addresses, its gateways, its proof and its duplicates.
  bool began_here = false;
  IkeSpi spi_i, spi_r;
  Path path;
  std::optional<Path> request_path;  // where the peer's last request came from: answers go there
  bool nat_local = false, nat_remote = false;
  bool udp_encapsulation = false;
  bool peer_speaks_nat_t = false;  // sent NAT detection
  Mobility mobility;
  ConnectionPtr connection;
  model::Identity local_id, remote_id;
  model::ChosenIke algorithms;
  IkeKeys keys;
  std::optional<crypto::IkeCipher> seal, open;  // ours, the peer's
  std::uint64_t iv_counter = 0;

  MessageId next_request{0};         // ours
  MessageId expected{0};             // the peer's
  std::vector<Bytes> last_response;  // to request expected-1: one datagram, or its fragments
  unsigned response_repeats = 0;     // how often the peer asked for it again
  // IKE fragmentation (RFC 7383): both ends speak it; the size the peer's pieces have; what came of a request and
  // of a response of the peer, which may be under way at the same time, under the same Message ID.
  bool fragmentation = false;
  std::unique_ptr<Reassembly> request_pieces, response_pieces;
  std::size_t peer_fragment_octets = 0;
  bool small_path = false;  // large datagrams get lost on the way to the peer
  std::optional<Outstanding> outstanding;
  RoomyOptional<Task> task;  // whose request is outstanding, or whose job runs
  std::list<Task> queue;
  std::optional<PeerRequest> peer_request;
  std::uint64_t own_job = 0, peer_job = 0;  // jobs under way for us, for the peer's request; 0: none
  std::unique_ptr<Handshake> handshake;
  std::vector<Deferred> deferred;  // datagrams that came while the keys were being computed
  std::vector<std::unique_ptr<ChildSa>> children;
  Assigned assigned;

  Instant created{};
  Instant established{};
  Instant rekey_at = kNever;
  Instant expires_at = kNever;
  Instant give_up_at = kNever;   // half-open; kRekeyed: patience with a peer that never deletes
  Instant last_inbound{};        // of anything authentic, IKE or ESP
  Instant usage_asked = kNever;  // QueryUsage was sent then
  Instant spi_told{};            // INVALID_SPI was sent then
  // RFC 4478, and reauth=yes: it ends then, however often it is rekeyed; when its initiator proves itself anew.
  Instant authenticated_until = kNever;
  Instant reauth_at = kNever;
  Instant unheard_since = kNever;     // IKE got no answer, yet children receive: kept while another IKE SA is tried
  Instant failback_at = kNever;       // time to look whether the first of the peer's addresses answers again
  IkeSpi stands_in_for;               // our SPI of the older IKE SA that goes once this one carries what it carries
  IkeSpi stand_in;                    // the other way round
  bool made_beside = false;           // it stood in for another when it was made
  bool settled = false;               // all that it was made for is there
  bool force_encapsulation = false;   // in UDP, whatever NAT detection says
  Bytes peer_token;                   // RFC 6290: with this the peer proves that it has lost this IKE SA
  bool disowned = false;              // somebody unproven says, to our request, that the peer does not know this IKE SA
  IkeSpi rival_of;                    // our SPI of the IKE SA whose collision with the peer's rekey made this one
  std::optional<IkeSpi> replaced_by;  // our SPI of the newer IKE SA
  std::uint64_t rekeys = 0;
  bool counted = false;                // among the established ones: a rekeyed SA counts once
  bool silent_reported = false;        // "no answer" was said for the outstanding request
  bool doomed = false;                 // to be deleted as soon as the request under way is answered
  std::string end_reason;              // why it is kDead, kDeleting or doomed
  Instant due = kNever;                // when it has something to do next, as of the last turn that touched it
  Instant scheduled = kNever;          // its entry in the world's deadlines: then, or before
  bool initiating = false;             // as the world counts it
  std::vector<std::uint64_t> indexed;  // as it stands in the world's index

  [[nodiscard]] IkeSpi local_spi() const { return initiator ? spi_i : spi_r; }
  [[nodiscard]] IkeSpi remote_spi() const { return initiator ? spi_r : spi_i; }
  [[nodiscard]] bool alive() const { return state != State::kDead; }
  [[nodiscard]] std::string peer() const { return path.remote.to_string(); }
  [[nodiscard]] std::string name() const { return connection ? connection->name : std::string(); }
  [[nodiscard]] ChildSa* find_child(model::ChildId id) const;
  // By the SPI the peer names: the one it expects in what we send, or the one it sends with.
  [[nodiscard]] ChildSa* find_child_out(Spi spi_out) const;
  // resource: its clone for this thread (RFC 9611); none: the one for all threads.
  [[nodiscard]] bool has_usable_child(const std::string& connection_name, const std::string& child_name,
                                      std::optional<std::uint16_t> resource = {}) const;
  // Whether a child is up that does what is wanted: for a packet, one that covers it.
  [[nodiscard]] bool serves(const ChildWant& want) const;
  // Is it one of several, each for a part of the same child?
  [[nodiscard]] bool has_sibling(const ChildSa& child) const;
  // What is queued or under way, if there is a request for this child.
  [[nodiscard]] ChildWant* find_want(const std::string& connection_name, const std::string& child_name,
                                     std::optional<std::uint16_t> resource = {});
};

// Takes the keys into use. SPIs, roles and algorithms are set already.
[[nodiscard]] Result<void> set_keys(IkeSa& sa, IkeKeys keys);
// SK_pi and SK_pr are for AUTH payloads alone (RFC 7296 section 2.14): gone once there are none to come.
void forget_proof_keys(IkeSa& sa);

}  // namespace cygnet::ike::v2
