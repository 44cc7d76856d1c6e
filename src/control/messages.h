// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `cygnet` asks and the daemon answers, over the Unix stream socket RUN_DIR/control.sock. A client sends one
// request; the daemon answers with any number of Progress messages and then exactly one Done (Monitor: no Done until
// the end). On the wire each message is a frame (frame.h) around JSON; the JSON of a report is what `--json` prints.
// Everything that comes in is hostile until decoded: decode_* check types, sizes and ranges and never throw.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/drop_reason.h"
#include "base/log.h"
#include "base/result.h"
#include "base/strong.h"

namespace cygnet::control {

inline constexpr std::string_view kSocketName = "control.sock";  // in the run directory
inline constexpr unsigned kProtocolVersion = 1;

// ---- requests -------------------------------------------------------------------------------------------------------
struct UpRequest {
  std::string connection;
  std::string child;  // empty: all children
  bool operator==(const UpRequest&) const = default;
};
struct DownRequest {
  std::string connection;
  std::string child;
  bool operator==(const DownRequest&) const = default;
};
struct RekeyRequest {
  std::string connection;
  std::string child;
  bool ike_sa = false;  // the IKE SA instead of its children
  bool operator==(const RekeyRequest&) const = default;
};
struct StatusRequest {
  std::string connection;  // empty: all
  bool summary = false;    // numbers only, however many connections there are: answered with SummaryReport
  bool operator==(const StatusRequest&) const = default;
};
struct ListRequest {  // what is configured: connections and policies
  bool operator==(const ListRequest&) const = default;
};
struct ReloadRequest {
  bool operator==(const ReloadRequest&) const = default;
};
struct ExplainRequest {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;          // 0: any
  std::optional<std::uint16_t> port;  // destination port; ICMP: type * 256 + code
  bool operator==(const ExplainRequest&) const = default;
};
struct DropsRequest {
  bool operator==(const DropsRequest&) const = default;
};
struct MonitorRequest {    // Progress messages until the client hangs up
  std::string connection;  // empty: all
  bool operator==(const MonitorRequest&) const = default;
};
struct CertsRequest {  // certificates, authorities, CRLs
  bool operator==(const CertsRequest&) const = default;
};
struct DebugKeysRequest {
  bool operator==(const DebugKeysRequest&) const = default;
};
struct DebugTransitionsRequest {
  bool operator==(const DebugTransitionsRequest&) const = default;
};
struct DoctorRequest {
  bool operator==(const DoctorRequest&) const = default;
};
struct LeasesRequest {
  bool operator==(const LeasesRequest&) const = default;
};
struct ReleaseLeaseRequest {
  IpAddress address;
  bool operator==(const ReleaseLeaseRequest&) const = default;
};
struct ShutdownRequest {
  bool operator==(const ShutdownRequest&) const = default;
};
using Request = std::variant<UpRequest, DownRequest, RekeyRequest, StatusRequest, ListRequest, ReloadRequest,
                             ExplainRequest, DropsRequest, MonitorRequest, DebugKeysRequest, DebugTransitionsRequest,
                             DoctorRequest, ShutdownRequest, CertsRequest, LeasesRequest, ReleaseLeaseRequest>;

// ---- reports --------------------------------------------------------------------------------------------------------
enum class State : std::uint8_t {
  kDown,        // configured, nothing under way
  kWaiting,     // on-demand policy in place, or a retry is due: the next packet or the timer starts it
  kConnecting,  // an exchange is under way
  kUp           // at least one child carries traffic (child: this one does)
};

struct Traffic {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  std::optional<std::uint64_t> idle_s;  // since the last good packet; unset: none yet
  bool operator==(const Traffic&) const = default;
};
// IP-TFS (RFC 9347) of one direction.
struct TfsTraffic {
  std::uint64_t payloads = 0;   // outer packets
  std::uint64_t packets = 0;    // inner packets in them
  std::uint64_t fragments = 0;  // pieces of those that were cut
  std::uint64_t empty = 0;      // outer packets that carried nothing
  std::uint64_t padding_bytes = 0;
  bool operator==(const TfsTraffic&) const = default;
};
struct TfsReport {
  std::uint64_t rate_bits_s = 0;      // of what we send, now; 0: as there is traffic
  std::uint64_t most_bits_s = 0;      // with congestion control: the most that it may be; 0: no bound
  bool congestion_control = false;    // the rate follows the path
  std::uint64_t packet_bytes = 0;     // of outer packets; 0: what the path takes
  std::optional<TfsTraffic> in, out;  // unset: that direction has none, or the kernel counts none
  bool operator==(const TfsReport&) const = default;
};
struct ChildReport {  // a CHILD_SA that is up
  std::string name;
  Spi spi_in, spi_out;
  std::string algorithms;          // "AES_GCM_16_256"
  std::string mode;                // "tunnel", "transport"
  std::vector<std::string> local;  // selectors as negotiated
  std::vector<std::string> remote;
  std::string device;
  bool udp_encapsulation = false;
  std::uint64_t established_s = 0;          // age in seconds
  std::optional<std::uint64_t> rekey_in_s;  // unset: not planned
  std::uint64_t rekeys = 0;
  std::optional<std::uint64_t> resource;  // the thread that it is for (RFC 9611); unset: all
  Traffic in, out;
  std::optional<TfsReport> iptfs;
  std::optional<std::uint64_t> diet_esp;  // Diet-ESP: octets of the sequence number in a packet; unset: plain ESP
  std::string traffic;                    // "latency", "throughput"; empty: neither was asked for
  bool operator==(const ChildReport&) const = default;
};
struct IkeReport {
  std::string state;  // a state of the transition table
  bool initiator = false;
  IkeSpi spi_i, spi_r;
  Endpoint local, remote;
  std::string local_id, remote_id;
  std::string algorithms;
  std::string nat;                                           // "none", "local" (we are behind it), "remote", "both"
  std::vector<std::string> assigned_local, assigned_remote;  // addresses handed out by a configuration payload
  std::vector<std::string> dns;                              // that the peer told us with them
  std::uint64_t established_s = 0;
  std::optional<std::uint64_t> rekey_in_s;
  std::vector<std::string> pending;   // exchanges under way
  std::vector<ChildReport> children;  // oldest first
  bool operator==(const IkeReport&) const = default;
};
struct InactiveChild {
  std::string name;
  State state = State::kDown;
  std::string local, remote;  // selectors as configured
  bool operator==(const InactiveChild&) const = default;
};
struct ConnectionReport {
  std::string name;
  State state = State::kDown;
  std::string local, remote;            // hosts as configured: "192.0.2.1", "%any"
  std::string last_error;               // why the last attempt failed; empty: it did not
  std::vector<IkeReport> ike_sas;       // JSON also shows the first as "ike" and all children as "children"
  std::vector<InactiveChild> inactive;  // configured children without SA
  std::string engine;                   // that carries its packets: "user", "xfrm", "pfkey"
  bool operator==(const ConnectionReport&) const = default;
};
struct IkeCounters {
  std::uint64_t datagrams_in = 0, datagrams_out = 0, malformed = 0, unknown_spi = 0, retransmits_sent = 0,
                retransmits_answered = 0, cookies_sent = 0, half_open_refused = 0, integrity_failed = 0, half_open = 0,
                established = 0, negotiations_failed = 0, cookies_refused = 0, crowd_refused = 0, puzzles_sent = 0,
                puzzles_solved = 0, puzzles_refused = 0, identities_refused = 0, auth_puzzles_sent = 0,
                auth_puzzles_solved = 0, auth_puzzles_refused = 0, fragments_in = 0, fragments_out = 0,
                fragments_refused = 0, fragments_late = 0;
  bool operator==(const IkeCounters&) const = default;
};
// A thread of the packet engine.
struct ThreadReport {
  std::string work;  // "packets": it moves them; "ciphers": it only encrypts and decrypts
  bool pinned = false;
  std::uint64_t cpu = 0;           // pinned: where
  std::uint64_t cpu_ms = 0;        // what it has had of the CPUs
  std::uint64_t load_percent = 0;  // of a CPU, since the last time somebody asked
  bool operator==(const ThreadReport&) const = default;
};

// Work handed to the threads that only encrypt and decrypt.
struct CipherReport {
  std::uint64_t batches = 0;
  std::uint64_t waits = 0;   // packets had to wait because too much was under way
  std::uint64_t full = 0;    // had to wait for room
  std::uint64_t failed = 0;  // came back undone, and was done by the thread that moves packets
  bool operator==(const CipherReport&) const = default;
};

// An interface whose plain ESP goes past the kernel's stack (esp-path=xdp).
struct EspInterfaceReport {
  std::string name;
  std::uint64_t packets_in = 0, packets_out = 0;
  bool operator==(const EspInterfaceReport&) const = default;
};

struct PoolRouteReport {  // where packets for addresses of a pool go that no peer has
  std::string pool;
  std::string left_to;    // the administrator's route; empty: they are refused
  bool proxyarp = false;  // a route to there is as it should be
  bool operator==(const PoolRouteReport&) const = default;
};

struct CoveredLinkReport {  // a network on a link that goes into a tunnel
  std::string network, device;
  bool operator==(const CoveredLinkReport&) const = default;
};

struct StatusReport {
  std::string version;
  std::uint64_t uptime_s = 0;
  bool engine_connected = true;
  std::string clear_text_problem;  // why clear text from outside for protected networks is not refused; empty: it is
  std::string outward_problem;     // why clear text that would leave by another device is not; empty: it is
  std::uint64_t held = 0;          // packets that were refused so
  std::vector<ConnectionReport> connections;
  std::vector<ThreadReport> threads;
  CipherReport ciphers;
  std::vector<EspInterfaceReport> esp_interfaces;
  std::vector<PoolRouteReport> pool_routes;
  std::vector<CoveredLinkReport> covered_links;
  IkeCounters ike;
  bool operator==(const StatusReport&) const = default;
};

// What a daemon with thousands of tunnels answers at once.
struct SummaryReport {
  std::string version;
  std::uint64_t uptime_s = 0;
  bool engine_connected = true;
  std::uint64_t connections = 0;  // configured
  std::uint64_t ike_sas = 0;      // established
  std::uint64_t children = 0;     // CHILD_SAs there are
  std::uint64_t initiating = 0;   // ours that are under way
  std::uint64_t waiting = 0;      // ours that wait for their turn, or for another attempt
  IkeCounters ike;
  bool operator==(const SummaryReport&) const = default;
};

struct ListedChild {
  std::string name, mode, local, remote, proposals, start, device;
  bool operator==(const ListedChild&) const = default;
};
struct ListedConnection {
  std::string name;
  std::string source;  // "file:line"
  std::string local, remote, local_id, remote_id;
  std::string proposals, encapsulation;
  std::vector<ListedChild> children;
  bool operator==(const ListedConnection&) const = default;
};
struct ListedPolicy {
  std::uint32_t id = 0;
  std::uint32_t order = 0;
  std::string action;  // "protect", "bypass", "discard"
  bool acquire = false;
  std::string local, remote, mode, device, connection, child;
  bool operator==(const ListedPolicy&) const = default;
};
struct ListReport {
  std::vector<ListedConnection> connections;
  std::vector<ListedPolicy> policies;
  bool operator==(const ListReport&) const = default;
};

struct ReloadReport {
  std::vector<std::string> added, changed, removed, unchanged;  // connection names
  std::vector<std::string> warnings;                            // "file:line:column: warning: …"
  bool operator==(const ReloadReport&) const = default;
};

struct ExplainedSa {
  std::string connection, child;
  Spi spi;  // outbound
  std::string algorithms;
  Endpoint local, remote;
  bool udp_encapsulation = false;
  bool in_use = false;  // false: standby
  std::uint64_t packets = 0;
  bool operator==(const ExplainedSa&) const = default;
};
struct ExplainReport {
  ExplainRequest question;
  std::string verdict;  // "protect", "bypass", "discard", "acquire", the name of a drop reason; "outside",
                        // "unreachable": it does not come to the engine
  std::optional<ListedPolicy> policy;
  std::vector<ExplainedSa> sas;  // the one in use first
  // The kernel's route for the destination; device empty: not known.
  std::string route_device, route_source, route_via;
  bool route_reaches_engine = false;  // the route leads into one of our devices
  std::vector<std::string> why;       // sentences, in the order of the decisions
  bool operator==(const ExplainReport&) const = default;
};

struct DropsReport {
  DropCounters drops{};  // JSON: only those above zero, with why and do
  std::uint64_t packets_out = 0, bytes_out = 0, packets_in = 0, bytes_in = 0, bypassed = 0, acquires = 0;
  bool operator==(const DropsReport&) const = default;
};

struct KeysReport {  // lines for Wireshark's tables, see wireshark.h
  std::vector<std::string> esp_sa;
  std::vector<std::string> ikev2_decryption_table;
  bool operator==(const KeysReport&) const = default;
};

struct LeaseReport {
  std::string address, identity;
  std::string connection;  // whose pool it is of; empty: of none any more
  bool in_use = false;     // false: remembered for this identity
  std::string from;        // in use: where the peer is
  std::uint64_t since_s = 0;
  bool operator==(const LeaseReport&) const = default;
};
struct PoolReport {  // pools of one address are not listed
  std::string connection, pool;
  std::uint64_t size = 0, in_use = 0, remembered = 0;
  bool operator==(const PoolReport&) const = default;
};
struct LeasesReport {
  std::vector<PoolReport> pools;
  std::vector<LeaseReport> leases;  // by address
  bool operator==(const LeasesReport&) const = default;
};

struct TransitionsReport {
  std::string text;
  bool operator==(const TransitionsReport&) const = default;
};

struct CertificateReport {
  std::string name;    // as the configuration calls it
  std::string source;  // the file
  std::string subject, issuer, serial, key;
  std::vector<std::string> names;                // subjectAltName
  bool authority = false;                        // basicConstraints
  std::int64_t valid_from = 0, valid_until = 0;  // seconds since 1970
  std::int64_t expires_in_s = 0;                 // negative: it has expired
  bool own = false;                              // some connection proves with it who we are
  std::optional<bool> private_key;               // whether we hold it; unset: not known
  bool key_on_token = false;                     // it is on a PKCS#11 token
  std::vector<std::string> connections;          // that name it
  std::string fault;                             // why it is of no use; empty: it is
  bool operator==(const CertificateReport&) const = default;
};
struct CrlReport {
  std::string source;  // file or URL
  std::string issuer;
  bool ocsp = false;  // an OCSP response
  std::int64_t issued = 0;
  std::optional<std::int64_t> good_until;
  std::string fault;
  bool operator==(const CrlReport&) const = default;
};
struct CertsReport {
  std::vector<CertificateReport> certificates, authorities;
  std::vector<CrlReport> crls;
  bool operator==(const CertsReport&) const = default;
};

// What only the daemon knows. The rest (sysctls, routes, ports) `cygnet doctor` sees for itself.
struct ProcessFact {
  std::string role;  // "monitor", "ike", "engine"
  std::int64_t pid = 0;
  std::uint64_t restarts = 0;
  bool operator==(const ProcessFact&) const = default;
};
struct RouteFact {  // a route the daemon set
  std::string prefix, device, source;
  bool operator==(const RouteFact&) const = default;
};
struct DoctorFacts {
  std::vector<ProcessFact> processes;
  std::vector<std::string> devices;
  std::uint16_t ike_port = 500, nat_port = 4500;
  std::uint32_t route_table = 0, rule_priority = 0, fwmark = 0;
  std::vector<RouteFact> routes;
  std::vector<std::string> config_warnings;
  StatusReport status;
  DropsReport drops;
  CertsReport certs;
  bool operator==(const DoctorFacts&) const = default;
};

using Data = std::variant<std::monostate, StatusReport, ListReport, ReloadReport, ExplainReport, DropsReport,
                          KeysReport, TransitionsReport, DoctorFacts, SummaryReport, CertsReport, LeasesReport>;

// ---- responses ------------------------------------------------------------------------------------------------------
// One event as it happens (an ike::Report, a child that came up, a process that was restarted).
struct Progress {
  std::int64_t time_s = 0;  // wall clock, seconds since 1970
  Severity severity = Severity::kInfo;
  std::string connection;  // empty: none matched
  std::string peer;
  std::string event;    // stable kebab-case word
  std::string message;  // may have several lines
  bool operator==(const Progress&) const = default;
};
struct Done {
  bool ok = true;
  std::string message;  // not ok: what happened, where, what to do next; may have several lines
  Data data;
  bool operator==(const Done&) const = default;
};
using Response = std::variant<Progress, Done>;

[[nodiscard]] std::string_view to_string(State state);

[[nodiscard]] std::string encode(const Request& request);
[[nodiscard]] std::string encode(const Response& response);
[[nodiscard]] Result<Request> decode_request(std::string_view text);
[[nodiscard]] Result<Response> decode_response(std::string_view text);
// What --json prints: {"drops":[…]}; for no data {}. indent < 0: one line.
[[nodiscard]] std::string to_json_text(const Data& data, int indent);
[[nodiscard]] std::string to_json_text(const Done& done, int indent);  // {"ok":…,"message":…, + data's members}
[[nodiscard]] std::string to_json_text(const Progress& progress);      // one line

}  // namespace cygnet::control
