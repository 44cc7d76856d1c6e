// SPDX-License-Identifier: Apache-2.0
#pragma once

// The structures that open a message of NETLINK_XFRM, as values: member for member those of <linux/xfrm.h>, without
// their padding. layout.h says where each member lies. Numbers are in the machine's order here; SPIs and ports are
// numbers, on the wire they are in network order.
#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/strong.h"
#include "wire/xfrm/constants.h"

namespace cygnet::wire::xfrm {

// xfrm_address_t: sixteen octets whose family stands elsewhere. IPv4 uses the first four.
struct Address {
  std::array<std::uint8_t, 16> octets{};

  [[nodiscard]] static Address of(const IpAddress& address);
  // kFamilyV6: all sixteen octets, any other: the first four.
  [[nodiscard]] IpAddress as(std::uint16_t family) const;
  bool operator==(const Address&) const = default;
};
[[nodiscard]] inline std::uint16_t family_of(const IpAddress& address) {
  return address.is_v4() ? kFamilyV4 : kFamilyV6;
}

// struct xfrm_selector (56 octets)
struct Selector {
  Address destination, source;
  std::uint16_t destination_port = 0, destination_port_mask = 0;
  std::uint16_t source_port = 0, source_port_mask = 0;
  std::uint16_t family = kFamilyAny;
  std::uint8_t destination_length = 0, source_length = 0;  // of the prefixes
  std::uint8_t protocol = 0;
  std::uint32_t interface_index = 0;
  std::uint32_t user = 0;
  bool operator==(const Selector&) const = default;
};

// struct xfrm_lifetime_cfg (64 octets)
struct LifetimeLimits {
  std::uint64_t soft_bytes = kInfinite, hard_bytes = kInfinite;
  std::uint64_t soft_packets = kInfinite, hard_packets = kInfinite;
  std::uint64_t soft_add_s = 0, hard_add_s = 0;  // since it was installed
  std::uint64_t soft_use_s = 0, hard_use_s = 0;  // since it was first used
  bool operator==(const LifetimeLimits&) const = default;
};

// struct xfrm_lifetime_cur (32 octets). Times in seconds since 1970; 0: never.
struct LifetimeCurrent {
  std::uint64_t bytes = 0, packets = 0, added = 0, used = 0;
  bool operator==(const LifetimeCurrent&) const = default;
};

// struct xfrm_stats (12 octets)
struct SaErrors {
  std::uint32_t replay_window = 0, replay = 0, integrity_failed = 0;
  bool operator==(const SaErrors&) const = default;
};

// struct xfrm_id (24 octets)
struct SaAddress {
  Address destination;
  Spi spi;
  std::uint8_t protocol = 0;
  bool operator==(const SaAddress&) const = default;
};

// struct xfrm_usersa_info (224 octets): NEWSA, UPDSA
struct SaInfo {
  Selector selector;
  SaAddress id;
  Address source;
  LifetimeLimits limits;
  LifetimeCurrent current;
  SaErrors errors;
  std::uint32_t sequence = 0;  // of the acquire that this SA answers
  std::uint32_t reqid = 0;
  std::uint16_t family = kFamilyAny;
  std::uint8_t mode = kTransport;
  std::uint8_t replay_window = 0;  // packets, at most 32; larger ones are in REPLAY_ESN_VAL
  std::uint8_t flags = 0;
  bool operator==(const SaInfo&) const = default;
};

// struct xfrm_usersa_id (24 octets): DELSA, GETSA
struct SaId {
  Address destination;
  Spi spi;
  std::uint16_t family = kFamilyAny;
  std::uint8_t protocol = 0;
  bool operator==(const SaId&) const = default;
};

// struct xfrm_userspi_info (232 octets): ALLOCSPI
struct SpiRange {
  SaInfo info;
  std::uint32_t min = 0, max = 0;
  bool operator==(const SpiRange&) const = default;
};

// struct xfrm_aevent_id (48 octets): NEWAE, GETAE
struct AeventId {
  SaId id;
  Address source;
  std::uint32_t flags = 0;
  std::uint32_t reqid = 0;
  bool operator==(const AeventId&) const = default;
};

// struct xfrm_userpolicy_info (168 octets): NEWPOLICY, UPDPOLICY
struct PolicyInfo {
  Selector selector;
  LifetimeLimits limits;
  LifetimeCurrent current;
  std::uint32_t priority = 0;  // lower is looked at first
  std::uint32_t index = 0;
  std::uint8_t direction = kIn;
  std::uint8_t action = kAllow;
  std::uint8_t flags = 0;
  std::uint8_t share = 0;
  bool operator==(const PolicyInfo&) const = default;
};

// struct xfrm_userpolicy_id (64 octets): DELPOLICY, GETPOLICY, MIGRATE
struct PolicyId {
  Selector selector;
  std::uint32_t index = 0;  // not 0: that policy, whatever the selector
  std::uint8_t direction = kIn;
  bool operator==(const PolicyId&) const = default;
};

// struct xfrm_user_acquire (280 octets)
struct Acquire {
  SaAddress id;
  Address source;
  Selector selector;  // of the packet
  PolicyInfo policy;
  std::uint32_t auth_algorithms = 0, encrypt_algorithms = 0, compress_algorithms = 0;
  std::uint32_t sequence = 0;
  bool operator==(const Acquire&) const = default;
};

// struct xfrm_user_expire (232 octets)
struct SaExpire {
  SaInfo state;
  bool hard = false;
  bool operator==(const SaExpire&) const = default;
};

// struct xfrm_user_polexpire (176 octets)
struct PolicyExpire {
  PolicyInfo policy;
  bool hard = false;
  bool operator==(const PolicyExpire&) const = default;
};

// struct xfrm_usersa_flush (1 octet)
struct SaFlush {
  std::uint8_t protocol = kProtocolAny;
  bool operator==(const SaFlush&) const = default;
};

// struct xfrm_user_report (60 octets)
struct Report {
  std::uint8_t protocol = 0;
  Selector selector;
  bool operator==(const Report&) const = default;
};

// struct xfrm_user_mapping (64 octets): the peer's address behind its NAT has changed
struct Mapping {
  SaId id;
  std::uint32_t reqid = 0;
  Address old_source, new_source;
  std::uint16_t old_port = 0, new_port = 0;
  bool operator==(const Mapping&) const = default;
};

// struct xfrm_userpolicy_default (3 octets): SETDEFAULT, GETDEFAULT. 1: block, 2: accept.
struct PolicyDefaults {
  std::uint8_t in = 0, forward = 0, out = 0;
  bool operator==(const PolicyDefaults&) const = default;
};

}  // namespace cygnet::wire::xfrm
