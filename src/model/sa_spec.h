// SPDX-License-Identifier: Apache-2.0
#pragma once

// What IKE (or an administrator) hands an engine: one direction of an SA, and a policy. The engine knows nothing else.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/strong.h"
#include "base/time.h"
#include "model/connection.h"
#include "model/traffic_selector.h"
#include "model/transform.h"

namespace cygnet::model {

using PolicyId = Strong<struct PolicyIdTag, std::uint32_t>;
// Ties the inbound and outbound SA of one CHILD_SA together; unique while the daemon's state lives.
using ChildId = Strong<struct ChildIdTag, std::uint64_t>;

enum class Direction : std::uint8_t { kInbound, kOutbound };

struct Lifetime {
  std::uint64_t soft_bytes = 0, hard_bytes = 0;  // 0: unlimited
  std::uint64_t soft_packets = 0, hard_packets = 0;
  // Ages, counted from installation (RFC 4301 section 4.4.2.1). 0: unlimited.
  std::uint64_t soft_age_s = 0, hard_age_s = 0;
  bool operator==(const Lifetime&) const = default;
};

struct SaSpec {
  Direction direction = Direction::kInbound;
  Spi spi;  // inbound: chosen by us; outbound: chosen by the peer
  ChildId child;
  PolicyId policy;         // outbound: serves this policy; inbound: packets are checked against selectors below
  std::string connection;  // for people
  std::string child_name;

  SaProtocol protocol = SaProtocol::kEsp;
  Mode mode = Mode::kTunnel;
  Endpoint local;  // outer addresses; ports are those of the UDP encapsulation
  Endpoint remote;
  IpAddress inner_local, inner_remote;  // kBeet: the addresses of the packets inside
  bool udp_encapsulation = false;  // outbound: how to send. Inbound takes both at any time (RFC 3948 and plain ESP)
  std::uint32_t keepalive_s = 0;   // outbound with encapsulation, when we are behind the NAT; 0: none

  EncryptionId encryption{};  // kNone with AH
  std::uint16_t encryption_bits = 0;
  IntegrityId integrity{};
  SecretBytes encryption_key;  // key octets followed by salt octets
  SecretBytes integrity_key;
  bool esn = false;
  std::uint64_t sequence = 0;  // goes on behind this number: outbound last sent, inbound highest seen
  // Outbound: explicit IVs are made of the sequence number XOR this. Random where the same keys may be given to another
  // SA, whose numbers begin anew (keys set by hand): under one key an IV must not come twice.
  std::uint64_t iv_mask = 0;
  // IPComp inside this SA (RFC 3173) with this Compression Parameter Index: ours inbound, the peer's outbound. 0: none.
  std::uint16_t ipcomp_cpi = 0;
  std::uint32_t tfc_octets = 0;  // outbound, tunnel mode: inner packets are padded to so many octets; 0: not
  IpTfs iptfs;                   // tunnel mode
  DietEsp diet;                  // tunnel mode, selectors of one family
  bool inside_ah = false;        // inbound ESP: taken out of an AH packet only (a bundle of keys given by hand)
  NicOffload nic_offload = NicOffload::kNo;  // kernel backends
  std::uint32_t replay_window = 1024;
  Lifetime lifetime;

  TrafficSelectors local_selectors;  // our side of the traffic
  TrafficSelectors remote_selectors;
  // Both lists are of one length, and an entry of one goes with the same entry of the other only.
  bool paired_selectors = false;
  std::string device = "ipsec0";  // inbound: where clear text appears
  std::uint32_t mtu = 0;          // 0: path MTU minus overhead
  bool clamp_mss = true;
  bool copy_dscp = true;
  bool ecn = true;
  DfPolicy df = DfPolicy::kCopy;
  Traffic traffic = Traffic::kUsual;  // our own engine
  std::optional<std::uint32_t> mark;
  SaMark kernel_mark;                     // kernel backends
  std::uint32_t interface_id = 0;         // kernel backends: of an XFRM interface; 0: none
  std::optional<std::uint16_t> resource;  // RFC 9611: the thread that sends on it; none: all

  // Outbound only: installed but not used before the first packet arrives on the inbound SA of the same child, or
  // activate() is called. The responder of a rekey does this, so that the peer never sees a packet it cannot open yet.
  bool standby = false;
};

enum class PolicyAction : std::uint8_t { kProtect, kBypass, kDiscard };

// An entry of the SPD (RFC 4301 section 4.4.1). Lower order is looked at first; equal orders by id.
// A packet matches if its source lies in local and its destination in remote (outbound; inbound mirrored).
struct PolicySpec {
  PolicyId id;
  PolicyAction action = PolicyAction::kProtect;
  std::uint32_t order = 1000;
  TrafficSelectors local;
  TrafficSelectors remote;
  Mode mode = Mode::kTunnel;
  std::string device = "ipsec0";
  // kProtect without SA: hold the packet and raise Acquire (true), or drop it as no-sa (false).
  bool acquire = false;
  std::string connection;
  std::string child_name;
  // Whose SAs serve it, where several policies share them (SaSpec::policy names this then); 0: its own.
  PolicyId group;
  SaProtocol protocol = SaProtocol::kEsp;
  // Outer addresses of the SAs that serve it; unspecified: not known. Kernel backends need them beforehand.
  IpAddress outer_local, outer_remote;
  // Kernel backends: of XFRM interfaces; 0: none.
  std::uint32_t interface_in = 0, interface_out = 0;
  SaMark mark_in, mark_out;
  // An AH SA that serves this group goes around the ESP packet (a bundle of keys given by hand); 0: none.
  PolicyId ah_group;
  [[nodiscard]] PolicyId served_by() const { return group.is_zero() ? id : group; }
  bool operator==(const PolicySpec&) const = default;
};

// IP-TFS of one direction.
struct TfsCounters {
  std::uint64_t payloads = 0;   // AGGFRAG payloads
  std::uint64_t packets = 0;    // inner packets, each counted with its end
  std::uint64_t fragments = 0;  // pieces of those that were cut
  std::uint64_t empty = 0;      // payloads that carried nothing but padding
  std::uint64_t padding = 0;    // octets of padding
  std::uint64_t rate = 0;       // outbound: bits of outer packets a second now; 0: as there is traffic
  bool operator==(const TfsCounters&) const = default;
};

struct SaCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;   // clear text octets, as RFC 4301 lifetimes count them
  std::uint64_t errors = 0;  // replay + integrity + selector failures
  Instant last_used{};       // of the last good packet; Instant{} if none
  Instant installed{};
  std::uint64_t sequence = 0;  // outbound: last sent; inbound: highest seen
  bool standby = false;
  TfsCounters tfs;  // Cygnet's own engine
};

}  // namespace cygnet::model
