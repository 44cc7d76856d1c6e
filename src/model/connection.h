// SPDX-License-Identifier: Apache-2.0
#pragma once

// A connection as the daemon knows it: dialect, file and order of words are forgotten.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/result.h"
#include "model/address_pool.h"
#include "model/credentials.h"
#include "model/identity.h"
#include "model/proposal.h"
#include "model/traffic_selector.h"

namespace cygnet::model {

// kBeet: end to end in the headers of the outer addresses, with inner ones that both ends know beforehand.
enum class Mode : std::uint8_t { kTunnel, kTransport, kBeet };
// Which header protects (RFC 4303, RFC 4302).
enum class SaProtocol : std::uint8_t { kEsp, kAh };
// What a network card may do of an SA that the kernel holds: nothing, what it can, the cipher, whole packets.
enum class NicOffload : std::uint8_t { kNo, kAuto, kCrypto, kPacket };
// kSignature: with a certificate or a raw public key; kNull: RFC 7619, proves nothing.
enum class AuthMethod : std::uint8_t { kPsk, kSignature, kNull };
// How much must be known of a certificate's revocation: nothing is asked, revoked ones are refused, or what is not
// known to be good is refused.
enum class Revocation : std::uint8_t { kIgnore, kRelaxed, kStrict };
enum class SendCertificate : std::uint8_t { kAlways, kIfAsked, kNever };
// What loading the connection does: nothing, be ready to answer, wait for the first packet, bring it up and keep it up.
enum class StartAction : std::uint8_t { kIgnore, kAdd, kOnDemand, kStart };
// What happens when the peer stays silent: forget, wait for traffic, try again.
enum class DeadPeerAction : std::uint8_t { kNone, kClear, kHold, kRestart };
enum class Encapsulation : std::uint8_t { kAuto, kForce, kNever };
// IKE fragmentation (RFC 7383). kForce: the smallest fragments from the start, for paths that lose anything larger.
enum class Fragmentation : std::uint8_t { kNo, kYes, kForce };
// Manners of clients that are not like others.
enum class Profile : std::uint8_t { kDefault, kWindows, kWindowsStock, kApple, kAndroid };
// An IKE SA without a first child (RFC 6023): never, if the peer begins so, if the peer allows it, or nothing else.
enum class Childless : std::uint8_t { kNever, kAllow, kPrefer, kForce };
enum class DfPolicy : std::uint8_t { kCopy, kSet, kClear };

struct HostSpec {
  enum class Kind : std::uint8_t { kAddress, kAny, kName, kDefaultRoute };
  Kind kind = Kind::kAny;
  IpAddress address;      // kAddress; kName and kDefaultRoute once resolved
  std::string name;       // kName
  bool resolved = false;  // kName, kDefaultRoute: address is valid

  [[nodiscard]] bool has_address() const { return kind == Kind::kAddress || resolved; }
  [[nodiscard]] std::string to_string() const;
  bool operator==(const HostSpec&) const = default;
};

struct End {
  HostSpec host;
  std::vector<HostSpec> alternatives;  // right=a,b: where the other end is if not there, in order of preference
  std::uint16_t ike_port = 500;
  std::optional<Identity> id;          // unset: the address (local), anything that authenticates (remote %any)
  bool id_any = false;                 // remote id=%any was written
  AuthMethod auth = AuthMethod::kPsk;  // local: how we prove it; remote: how the peer must
  // kSignature. Names stand for PublicCredentials' objects; both empty (remote): any certificate that the rules allow.
  std::string certificate;            // leftcert=
  std::string public_key;             // leftpubkey=, leftrsasigkey=, …: a raw public key
  std::optional<Identity> authority;  // rightca=: distinguished name of an authority in the peer's path
  bool same_authority = false;        // rightca=%same: whoever issued our own certificate
  std::vector<std::string> groups;    // rightgroups=: organizational units, one of which the certificate must name
  Revocation revocation = Revocation::kRelaxed;
  SendCertificate send_certificate = SendCertificate::kAlways;
  std::vector<IpAddress> source_ips;  // leftsourceip: set on the device, preferred source of the routes
  // Addresses that the other end assigns to this end (RFC 7296 section 2.19).
  bool request_ip4 = false, request_ip6 = false;  // leftsourceip=%config: local: we ask the peer
  std::vector<AddressPool> pools;  // rightsourceip=, rightaddresspool=: remote: what the peer gets from us

  [[nodiscard]] bool requests_address() const { return request_ip4 || request_ip6; }
  bool operator==(const End&) const = default;
};

// IP-TFS (RFC 9347): inner packets are put together and cut so that outer ones tell nothing by their size and number.
struct IpTfs {
  bool enabled = false;
  bool fragment = true;             // inner packets may be cut; outbound: unless the peer cannot put them together
  std::uint32_t packet_octets = 0;  // of the outer IP packet; 0: what the path takes
  std::uint64_t bits_per_s = 0;     // of outer packets, always; 0: as there is traffic
  std::uint32_t max_queue_octets = 1U << 20U;
  std::uint32_t init_delay_us = 0;       // how long a packet waits for others to share its outer packet
  std::uint32_t reorder_window = 3;      // outer packets that are waited for
  std::uint32_t drop_time_us = 1000000;  // how long they are waited for
  bool required = false;  // no SA without it (RFC 9347 section 5.1); else a plain tunnel where the peer has none
  // The rate follows what the peer reports of loss and delay (section 2.4.2); bits_per_s is the most then, 0: no bound.
  bool congestion_control = false;
  bool reports = false;  // outbound: the peer asked for reports, so headers carry them (section 6.1.2)
  bool operator==(const IpTfs&) const = default;
};
// Diet-ESP (draft-ietf-ipsecme-diet-esp-04): what both ends of an SA know is left out of its packets.
struct DietEsp {
  bool enabled = false;
  std::uint8_t sn_octets = 2;  // of the sequence number, 1 to 4: the draft's esp_sn_lsb in octets
  bool operator==(const DietEsp&) const = default;
};
// What the packets of a child are like, for our own engine (traffic=). kUsual, kThroughput: its ciphers may work on
// crypto threads; kLatency: the thread that has read a packet does all of it at once, before what came with it.
enum class Traffic : std::uint8_t { kUsual, kLatency, kThroughput };
// Kernel backends: packets whose mark, masked, is the value. A mask of 0: all packets.
struct SaMark {
  std::uint32_t value = 0, mask = 0;
  bool operator==(const SaMark&) const = default;
};

// Child::tfc_octets, SaSpec::tfc_octets: as large as the path takes.
inline constexpr std::uint32_t kTfcToMtu = UINT32_MAX;

struct Child {
  std::string name;  // unique within the connection; equals the connection's name when there is just one
  Mode mode = Mode::kTunnel;
  TrafficSelectors local;  // empty: the end's own address, as negotiated
  TrafficSelectors remote;
  std::vector<Proposal> proposals;  // ESP
  StartAction start = StartAction::kAdd;
  std::uint32_t lifetime_s = 3600;     // hard; rekeying starts rekey_margin_s (randomized) before; 0: unlimited
  std::uint64_t lifetime_bytes = 0;    // 0: unlimited
  std::uint64_t lifetime_packets = 0;  // 0: unlimited
  std::uint32_t replay_window = 1024;  // packets
  std::string device = "ipsec0";
  std::uint32_t mtu = 0;  // 0: from the path and the SA's overhead
  bool clamp_mss = true;
  bool copy_dscp = true;
  bool ecn = true;
  DfPolicy df = DfPolicy::kCopy;
  bool compress = false;  // offer and accept IPComp (RFC 3173)
  SaProtocol protocol = SaProtocol::kEsp;
  std::uint32_t tfc_octets = 0;  // tunnel mode: packets are padded to so many octets (RFC 4303 section 2.7); 0: not
  IpTfs iptfs;
  DietEsp diet;  // offer and accept it
  NicOffload nic_offload = NicOffload::kNo;
  // Of the kernel's XFRM interface; 0: none.
  std::uint32_t interface_id_in = 0, interface_id_out = 0;
  // ipsec-interface=N: device is ipsecN; where the kernel carries this child, an XFRM interface with this ID, which the
  // daemon makes. 0: not written.
  std::uint32_t interface_number = 0;
  SaMark mark_in, mark_out;  // of the kernel's SAs and policies
  Traffic traffic = Traffic::kUsual;
  // SAs of single threads beside the one for all (RFC 9611); unset: none of ours, and some for a peer that brings them.
  std::optional<std::uint32_t> clones;
  bool operator==(const Child&) const = default;
};

inline constexpr std::uint32_t kMostClones = 64;  // that clones= can ask for

// Who carries the packets: our own engine, the kernel (driven over NETLINK_XFRM or PF_KEY), or whichever can do all
// that is asked for.
enum class EngineKind : std::uint8_t { kUser, kXfrm, kAuto, kPfkey };
// Where both carry packets, each has its half of the inbound SPIs: the kernel's have this bit set. Filters on sockets
// know by it whose ESP comes in.
inline constexpr std::uint32_t kKernelSpiBit = 0x80000000U;

struct Connection {
  std::string name;
  std::string source;               // "file:line" for messages
  End local;                        // before orient(): left
  End remote;                       // before orient(): right
  std::vector<Proposal> proposals;  // IKE
  std::vector<Child> children;
  Encapsulation encapsulation = Encapsulation::kAuto;
  bool mobike = false;  // RFC 4555: addresses may change
  std::uint32_t ike_lifetime_s = 28800;
  std::uint32_t rekey_margin_s = 540;
  std::uint32_t rekey_fuzz_percent = 100;
  bool rekey = true;
  bool rekey_children = true;  // false: the peer takes no rekeying of a child from us, it does so itself
  bool reauth = false;         // the ends prove themselves anew instead of rekeying the IKE SA (RFC 4478)
  bool failback = true;        // from an alternative back to the first address, once it answers again
  std::uint32_t failback_interval_s = 300;
  Childless childless = Childless::kNever;
  bool refuse_tfc = false;          // tell peers not to pad ESP (RFC 7296 section 3.10.1)
  std::uint32_t keying_tries = 0;   // 0: for ever
  std::uint32_t max_children = 64;  // that a peer may have of this connection on one IKE SA
  std::uint32_t dpd_delay_s = 30;   // 0: off
  std::uint32_t dpd_timeout_s = 0;  // 0: the retransmission schedule decides
  DeadPeerAction dpd_action = DeadPeerAction::kRestart;
  std::uint32_t retransmit_first_ms = 500;
  std::uint32_t retransmit_timeout_ms = 60000;  // give up after this long without an answer
  std::uint32_t keepalive_s = 20;               // RFC 3948 section 4
  // What peers that get an address from us are told, and what we do with what we are told.
  std::vector<IpAddress> dns;            // modecfgdns=, rightdns=
  std::vector<std::string> dns_domains;  // modecfgdomains=: names that these servers know (RFC 8598); none: all names
  bool ignore_peer_dns = false;
  Profile profile = Profile::kDefault;
  // Networks that this machine is attached to stay outside of the tunnel, though they lie in the peer's: a client's
  // only where they are private.
  bool local_networks = true;
  bool proxy_arp = false;  // this machine answers for the peers' addresses in the networks it is attached to
  Fragmentation fragmentation = Fragmentation::kYes;
  std::uint32_t fragment_octets = 0;  // of an IP datagram that carries a fragment; 0: what every usual path takes
  std::optional<EngineKind> engine;   // unset: as config setup says
  bool operator==(const Connection&) const = default;

  [[nodiscard]] const Child* find_child(std::string_view child) const;  // by name
};

// Decides which end is ours: swaps local and remote if only the remote one lies on this machine.
// Fails, with the reason, if neither or both do and it cannot be told.
[[nodiscard]] Result<void> orient(Connection& connection, const std::vector<IpAddress>& own_addresses);

// `config setup`.
// What an identity's new IKE SA does to an older one that it has from elsewhere.
enum class UniqueIds : std::uint8_t {
  kInitialContact,  // uniqueids=no: the older one ends only if the peer says INITIAL_CONTACT
  kReplace,         // the older one ends
  kKeep,            // the new one is refused, unless the peer says INITIAL_CONTACT
  kNever            // both live, whatever the peer says
};

// An interface of the kernel's that has policies and SAs with its ID of its own.
struct XfrmInterface {
  std::string name;
  std::uint32_t id = 0;  // never 0
  bool operator==(const XfrmInterface&) const = default;
};

struct Setup {
  EngineKind engine = EngineKind::kUser;
  std::vector<std::string> devices = {"ipsec0"};  // TUN devices
  std::vector<XfrmInterface> interfaces;          // made beside them where the kernel carries packets
  bool allow_key_export = false;
  std::uint16_t ike_port = 500;
  std::uint16_t nat_port = 4500;
  std::uint32_t fwmark = 0x43590000;  // "CY": our own outer packets
  std::uint32_t route_table = 4359;
  // Before the rule of strongSwan's routes (220): where both run, our tunnels' packets must not leave by its routes.
  std::uint32_t rule_priority = 210;
  std::uint32_t cookie_threshold = 100;  // half-open SAs before COOKIE is asked (RFC 7296 section 2.6)
  std::uint32_t half_open_limit = 5000;
  std::uint32_t half_open_per_address = 1000;  // of one IPv4 address, or one IPv6 /64
  std::uint32_t half_open_per_network = 2500;  // of one IPv4 /24, or one IPv6 /48
  std::uint32_t puzzle_threshold = 3000;       // half-open SAs before puzzles are asked (RFC 8019); 0: never
  std::uint32_t puzzle_difficulty = 14;        // zero bits at the threshold; more, the more SAs are half-open
  std::uint32_t auth_puzzle_threshold = 50;    // percent of newcomers that never show keys; 0: never
  std::uint32_t auth_puzzle_difficulty = 10;   // zero bits of the puzzles that then come with IKE_SA_INIT responses
  std::uint32_t hardest_puzzle = 20;           // that we solve as initiator; 0: none
  UniqueIds unique_ids = UniqueIds::kInitialContact;
  std::uint32_t ike_sas_per_identity = 100;  // nobodies (RFC 7619): of one address; 0: any number
  Severity log_level = Severity::kInfo;
  bool operator==(const Setup&) const = default;
};

}  // namespace cygnet::model
