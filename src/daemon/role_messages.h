// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the monitor and the processes it started tell each other, over the SEQPACKET pair each of them was born with.
// Descriptors ride along in the order the comments give.
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/result.h"
#include "daemon/engine_plan.h"
#include "daemon/lease_messages.h"
#include "io/ether_frame.h"
#include "io/outer_socket.h"
#include "model/connection.h"
#include "model/traffic_selector.h"

namespace cygnet::daemon {

struct PassedSocket {
  io::OuterKind kind{};
  Family family{};
  std::uint16_t port = 0;
};
struct ProcessState {
  std::string role;
  std::uint64_t pid = 0;
  std::uint64_t restarts = 0;
};

// ---- from the monitor
// For a further thread of the engine; before StartEngine, which says what they are. Descriptors: one a device, one a
// socket.
struct EngineWorker {};
struct StartEngine {  // descriptors: one a device, one a socket, the listener of PF_KEY
  std::vector<std::string> devices;
  std::vector<PassedSocket> sockets;
  Severity log_level{};
  std::vector<std::uint16_t> cpus;  // where its threads run, the first thread first; those without: anywhere
  std::uint32_t busy_poll_us = 0;
  std::uint32_t crypto_threads = 0;  // see model::EngineThreads
  std::uint32_t crypto_percent = 0;
  std::vector<std::uint16_t> crypto_cpus;
  std::uint16_t nat_port = 0;  // these three for the kernel's IPsec, which gets no listener of PF_KEY
  std::uint32_t mark = 0;      // of our own outer packets
  model::EngineKind language = model::EngineKind::kXfrm;  // in which the kernel is driven: kXfrm or kPfkey
  bool esp_over_xdp = false;                              // ask for the next hops of plain ESP
  std::uint32_t foreign_spis = 0;  // bits of inbound SPIs that are the kernel's, where that carries packets beside us
};
struct StartIke {  // descriptors: configuration bundle, control listener, leases (lease_messages.h), one a socket
  std::string config_path;
  std::string secrets_path;
  std::string run_dir;
  std::vector<PassedSocket> sockets;
  SecretBytes crash_secret;  // RFC 6290; empty: there is none
  EnginePlan engines;
};
struct StartKeys {  // descriptor: bundle of the secrets' files
  std::string secrets_path;
};
struct StartToken {};  // descriptor: what to ask tokens for (token_work.h); again whenever that changes
struct TokenPeer {};   // descriptor: to the other of ike and token
struct NewPeer {};     // descriptor: to the other of ike and engine
struct KernelPeer {};  // for ike, before NewPeer. descriptor: to the kernel's process, where that stands beside engine
struct KeysPeer {};    // descriptor: to the other of ike and keys
struct NewConfiguration {  // descriptor: configuration bundle (none if error is set); for keys: the secrets' bundle
  std::string error;
  std::vector<std::string> secrets_warnings;  // about files that ike does not see
};
struct ShutDown {};
struct NetworkChanged {};  // addresses or routes of this machine
struct Processes {
  std::vector<ProcessState> list;
};
struct NetworkFailure {
  std::uint32_t request = 0;
  std::string why;
};
inline constexpr std::size_t kLongestFailure = 160;  // octets of why; the log has all of it
struct NetworkDone {                                 // of requests that came together, in their order
  std::uint32_t request = 0;                         // the last one
  std::uint32_t count = 1;
  std::vector<NetworkFailure> failures;
};
// Whether clear text of protected networks is refused, and how many packets were. Whenever that changes.
struct ClearTextRefused {
  std::string problem;  // why what comes from outside is not; empty: it is
  std::uint64_t packets = 0;
  std::string outward_problem;  // the same of what would leave by another device
  std::uint64_t held = 0;
  bool operator==(const ClearTextRefused&) const = default;
};
// Networks on a link that no address of this machine lies in, and that a tunnel covers. All there are, whenever that
// changes.
struct CoveredLinks {
  struct Network {
    IpPrefix prefix;
    std::string device;
    auto operator<=>(const Network&) const = default;
  };
  std::vector<Network> list;
};
inline constexpr std::size_t kMostCoveredLinks = 100;
// Where packets for addresses of pools go that no peer has. All there are, whenever that changes.
struct PoolRoutes {
  struct Way {
    IpPrefix pool;
    std::optional<IpPrefix> left_to;  // a route of the administrator's; none: they are refused
    auto operator<=>(const Way&) const = default;
  };
  std::vector<Way> list;
};
// An interface whose plain ESP comes to AF_XDP sockets from now on. Descriptors: socket and memory of each queue.
struct EspInterface {
  std::uint32_t index = 0;
  std::string name;
  std::uint32_t frame_octets = 0;  // io::XdpShape
};
struct EspInterfaceGone {
  std::uint32_t index = 0;
};
// Where plain ESP between two addresses goes. Told when it was asked for, and whenever it changes.
struct NextHop {
  IpAddress local, remote;  // as asked for
  bool usable = false;      // the rest is known, and the interface has been told before
  std::uint32_t interface = 0;
  IpAddress source;
  io::MacAddress source_mac{}, destination_mac{};
  std::uint32_t mtu = 0;  // larger packets go by a socket
};
struct NextHops {
  std::vector<NextHop> list;
};
inline constexpr std::size_t kMostNextHops = 4096;
inline constexpr std::size_t kHopsTogether = 256;  // in one message
using FromMonitor =
    std::variant<StartEngine, StartIke, StartKeys, NewPeer, KeysPeer, NewConfiguration, ShutDown, NetworkChanged,
                 Processes, NetworkDone, StartToken, TokenPeer, ClearTextRefused, EngineWorker, KernelPeer,
                 EspInterface, EspInterfaceGone, NextHops, PoolRoutes, CoveredLinks>;

// ---- to the monitor
struct Ready {};
struct WantReload {};
struct WantShutDown {};
// A route into one of our devices, an address on it, or an address behind it for which this machine answers in the
// networks it is attached to (proxy ARP, RFC 4389 for IPv6). Addresses for peers (Pool), which are refused as long as
// nobody has them and which the administrator routes nowhere (monitor/pool_routes.h). And what clear text from outside
// is refused (monitor/clear_text_gate.h): everything from a routed network, unless it is Clear; then what is Guarded,
// and not Exempt. Questions: those for names may leave in the clear (monitor/name_servers.h); nothing else is said of
// them. The monitor refuses everything else.
struct NetworkRequest {
  enum class What : std::uint8_t {
    kAddRoute,
    kRemoveRoute,
    kAddAddress,
    kRemoveAddress,
    kAddProxy,
    kRemoveProxy,
    kAddPool,
    kRemovePool,
    kAddClear,
    kRemoveClear,
    kAddGuard,
    kRemoveGuard,
    kAddExempt,
    kRemoveExempt,
    kAddQuestions,
    kRemoveQuestions
  };
  std::uint32_t request = 0;
  What what{};
  IpPrefix prefix;  // addresses and proxies: full length
  std::string device;
  std::optional<IpAddress> source;
  std::uint32_t mtu = 0;
  // Of Guard and Exempt, which have no prefix. The one of lower order is looked at first.
  model::TrafficSelector guarded_remote, guarded_local;
  std::uint32_t guard_order = 0;
};
// What came up in one turn; at most kMaxRequestsTogether.
struct NetworkRequests {
  std::vector<NetworkRequest> list;
};
inline constexpr std::size_t kMaxRequestsTogether = 256;
// The DNS servers that a peer told a connection of; none: they are taken back.
struct ResolverRequest {
  std::string connection;
  std::string device;
  std::vector<IpAddress> servers;
  std::vector<std::string> domains;  // the names they are for; none: all
};
// What was found on tokens, and why the rest was not. Descriptor: the certificates (token_work.h).
struct TokenReport {
  std::vector<std::string> problems;
};
// Of the engine: where does plain ESP for these peers go?
struct WantNextHops {
  struct Way {
    IpAddress local, remote;
    auto operator<=>(const Way&) const = default;
  };
  bool anew = false;  // it has forgotten what it knew
  std::vector<Way> list;
};
// ike has asked for all it needs: what an earlier ike asked for and this one did not, goes.
struct Settled {};
using ToMonitor = std::variant<Ready, WantReload, WantShutDown, NetworkRequests, Settled, LeaseChanges, ResolverRequest,
                               TokenReport, WantNextHops>;

[[nodiscard]] Bytes encode(const FromMonitor& message);
[[nodiscard]] Bytes encode(const ToMonitor& message);
[[nodiscard]] Result<FromMonitor> decode_from_monitor(ByteView bytes);
[[nodiscard]] Result<ToMonitor> decode_to_monitor(ByteView bytes);

}  // namespace cygnet::daemon
