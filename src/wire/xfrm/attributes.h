// SPDX-License-Identifier: Apache-2.0
#pragma once

// The attributes of NETLINK_XFRM messages (XFRMA_*), each at most once. Each has its length and type in front and ends
// at a multiple of four octets:
//
//   +---------------+---------------+---------------+---------------+
//   |        nla_len (16)           |         nla_type (16)         |
//   +---------------+---------------+---------------+---------------+
//   >  value, nla_len - 4 octets                       | padding    <
//   +---------------+---------------+---------------+---------------+
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "wire/host_order.h"
#include "wire/xfrm/refusal.h"
#include "wire/xfrm/structures.h"

namespace cygnet::wire::xfrm {

inline constexpr std::size_t kMostTemplates = 6;      // XFRM_MAX_DEPTH
inline constexpr std::size_t kMostBitmapWords = 128;  // XFRMA_REPLAY_ESN_MAX bits
inline constexpr std::size_t kAlgorithmNameOctets = 64;

// struct xfrm_algo, xfrm_algo_auth, xfrm_algo_aead: a name of the kernel's crypto API ("rfc4106(gcm(aes))") and a key.
struct Algorithm {
  std::string name;
  SecretBytes key;             // as the kernel takes it: an AEAD's salt is behind the key
  std::uint32_t tag_bits = 0;  // ALG_AUTH_TRUNC, ALG_AEAD: octets of the check value on the wire, times eight
  bool operator==(const Algorithm&) const = default;
};

// struct xfrm_encap_tmpl
struct Encapsulation {
  std::uint16_t type = kEspInUdp;
  std::uint16_t source_port = 0, destination_port = 0;
  Address original_address;
  bool operator==(const Encapsulation&) const = default;
};

// struct xfrm_user_tmpl: what a policy asks of the SA that serves it
struct Template {
  SaAddress id;  // SPI 0: any
  std::uint16_t family = kFamilyAny;
  Address source;
  std::uint32_t reqid = 0;
  std::uint8_t mode = kTransport;
  std::uint8_t share = 0;
  bool optional = false;
  std::uint32_t auth_algorithms = ~0U, encrypt_algorithms = ~0U, compress_algorithms = ~0U;
  bool operator==(const Template&) const = default;
};

// struct xfrm_replay_state
struct ReplayState {
  std::uint32_t sent = 0, seen = 0, bitmap = 0;
  bool operator==(const ReplayState&) const = default;
};

// struct xfrm_replay_state_esn: windows above 32, and 64-bit sequence numbers
struct ReplayStateEsn {
  std::uint64_t sent = 0, seen = 0;
  std::uint32_t window = 0;  // packets
  std::vector<std::uint32_t> bitmap;
  bool operator==(const ReplayStateEsn&) const = default;
};

// struct xfrm_user_migrate
struct Migration {
  Address old_destination, old_source, new_destination, new_source;
  std::uint8_t protocol = kProtocolEsp;
  std::uint8_t mode = kTunnel;
  std::uint32_t reqid = 0;
  std::uint16_t old_family = kFamilyAny, new_family = kFamilyAny;
  bool operator==(const Migration&) const = default;
};

// struct xfrm_user_kmaddress
struct KmAddress {
  Address local, remote;
  std::uint16_t family = kFamilyAny;
  bool operator==(const KmAddress&) const = default;
};

struct Mark {
  std::uint32_t value = 0, mask = 0;
  bool operator==(const Mark&) const = default;
};

// struct xfrm_user_migrate_state (132 octets): MIGRATE_STATE. One SA gets other ends, and goes on counting in one step.
// Encapsulation of type 0 takes the old one away; what is not said stays as it is.
struct SaMove {
  SaId id;  // as it is so far
  Address new_destination, new_source;
  Mark old_mark;
  Selector selector;
  std::uint32_t reqid = 0;
  std::uint32_t flags = 0;
  std::uint16_t new_family = kFamilyAny;
  bool operator==(const SaMove&) const = default;
};

// struct xfrm_address_filter: which SAs a dump shall show
struct AddressFilter {
  Address source, destination;
  std::uint16_t family = kFamilyAny;
  std::uint8_t source_length = 0, destination_length = 0;
  bool operator==(const AddressFilter&) const = default;
};

// struct xfrm_user_offload
struct Offload {
  std::uint32_t interface_index = 0;
  std::uint8_t flags = 0;
  bool operator==(const Offload&) const = default;
};

// struct xfrm_user_sec_ctx without its own length
struct SecurityContext {
  std::uint8_t algorithm = 0, domain = 0;
  Bytes label;
  bool operator==(const SecurityContext&) const = default;
};

struct Attributes {
  std::optional<Algorithm> auth, auth_truncated, crypt, aead, compress;
  std::optional<Encapsulation> encapsulation;
  std::optional<std::vector<Template>> templates;
  std::optional<SaInfo> sa;          // DELSA as a notice
  std::optional<PolicyInfo> policy;  // DELPOLICY as a notice
  std::optional<SecurityContext> security_context;
  std::optional<LifetimeCurrent> lifetime;
  std::optional<ReplayState> replay;
  std::optional<ReplayStateEsn> replay_esn;
  std::optional<std::uint32_t> replay_threshold;
  std::optional<std::uint32_t> timer_threshold;  // tenths of a second
  std::optional<Address> source_address, care_of_address;
  std::optional<std::uint64_t> last_used;  // seconds since 1970
  std::optional<std::uint8_t> policy_type;
  std::optional<std::vector<Migration>> migrations;
  std::optional<KmAddress> km_address;
  std::optional<Mark> mark;
  std::optional<std::uint32_t> tfc_pad;  // octets
  std::optional<std::uint32_t> extra_flags;
  std::optional<std::uint8_t> protocol;
  std::optional<AddressFilter> address_filter;
  std::optional<Offload> offload;
  std::optional<std::uint32_t> set_mark, set_mark_mask;
  std::optional<std::uint32_t> interface_id;
  std::optional<std::uint32_t> mapping_threshold;  // seconds
  std::optional<std::uint8_t> direction;           // SaDirection
  std::optional<std::uint32_t> nat_keepalive;      // seconds
  std::optional<std::uint32_t> cpu;
  std::optional<std::uint32_t> iptfs_drop_time_us, iptfs_initial_delay_us, iptfs_max_queue, iptfs_packet_size;
  std::optional<std::uint16_t> iptfs_reorder_window;
  bool iptfs_dont_fragment = false;

  std::vector<std::uint16_t> unknown;  // types nobody here knows: they are skipped, and counted

  [[nodiscard]] static Parsed<Attributes> parse(ByteView octets);
  void serialize(HostWriter& writer) const;
  bool operator==(const Attributes&) const = default;
};

// Whether a template's, selector's or policy's numbers exist: families, prefix lengths, directions, actions, modes.
[[nodiscard]] Parsed<void> check(const Selector& selector);
[[nodiscard]] Parsed<void> check(const SaInfo& info);
[[nodiscard]] Parsed<void> check(const PolicyInfo& info);
[[nodiscard]] Parsed<void> check(const Template& entry);

}  // namespace cygnet::wire::xfrm
