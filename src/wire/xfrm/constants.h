// SPDX-License-Identifier: Apache-2.0
#pragma once

// The numbers of NETLINK_XFRM, as <linux/netlink.h> and <linux/xfrm.h> of the newest kernel have them: a machine's own
// headers may be older than the kernel that runs on it.
#include <cstdint>
#include <string>

namespace cygnet::wire::xfrm {

inline constexpr int kNetlinkFamily = 6;          // NETLINK_XFRM
inline constexpr std::size_t kAlignment = 4;      // of messages and attributes
inline constexpr std::size_t kHeaderOctets = 16;  // struct nlmsghdr

enum class MessageType : std::uint16_t {
  kNoop = 1,
  kError = 2,  // also an acknowledgement, with error 0
  kDone = 3,
  kOverrun = 4,
  kNewSa = 0x10,
  kDelSa = 0x11,
  kGetSa = 0x12,
  kNewPolicy = 0x13,
  kDelPolicy = 0x14,
  kGetPolicy = 0x15,
  kAllocSpi = 0x16,
  kAcquire = 0x17,
  kExpire = 0x18,
  kUpdPolicy = 0x19,
  kUpdSa = 0x1a,
  kPolExpire = 0x1b,
  kFlushSa = 0x1c,
  kFlushPolicy = 0x1d,
  kNewAe = 0x1e,
  kGetAe = 0x1f,
  kReport = 0x20,
  kMigrate = 0x21,
  kNewSadInfo = 0x22,
  kGetSadInfo = 0x23,
  kNewSpdInfo = 0x24,
  kGetSpdInfo = 0x25,
  kMapping = 0x26,
  kSetDefault = 0x27,
  kGetDefault = 0x28,
  kMigrateState = 0x29,  // Linux 7.2
};

// nlmsghdr.nlmsg_flags
inline constexpr std::uint16_t kRequest = 0x1;
inline constexpr std::uint16_t kMulti = 0x2;  // part of a dump, which ends with kDone
inline constexpr std::uint16_t kAck = 0x4;
inline constexpr std::uint16_t kEcho = 0x8;
inline constexpr std::uint16_t kDumpInterrupted = 0x10;
inline constexpr std::uint16_t kDump = 0x300;           // GET: NLM_F_ROOT | NLM_F_MATCH
inline constexpr std::uint16_t kReplace = 0x100;        // NEW
inline constexpr std::uint16_t kExclusive = 0x200;      // NEW
inline constexpr std::uint16_t kCreate = 0x400;         // NEW
inline constexpr std::uint16_t kCapped = 0x100;         // ERROR: of the request only its header is repeated
inline constexpr std::uint16_t kAckAttributes = 0x200;  // ERROR: attributes with a sentence follow

enum class AttributeType : std::uint16_t {
  kUnspecified = 0,
  kAlgAuth = 1,
  kAlgCrypt = 2,
  kAlgComp = 3,
  kEncap = 4,
  kTemplates = 5,
  kSa = 6,
  kPolicy = 7,
  kSecurityContext = 8,
  kLifetime = 9,
  kReplay = 10,
  kReplayThreshold = 11,
  kTimerThreshold = 12,
  kSourceAddress = 13,
  kCareOfAddress = 14,
  kLastUsed = 15,
  kPolicyType = 16,
  kMigrate = 17,
  kAlgAead = 18,
  kKmAddress = 19,
  kAlgAuthTruncated = 20,
  kMark = 21,
  kTfcPad = 22,
  kReplayEsn = 23,
  kExtraFlags = 24,
  kProtocol = 25,
  kAddressFilter = 26,
  kPad = 27,
  kOffload = 28,
  kSetMark = 29,  // also XFRMA_OUTPUT_MARK
  kSetMarkMask = 30,
  kInterfaceId = 31,
  kMappingThreshold = 32,
  kDirection = 33,
  kNatKeepalive = 34,
  kCpu = 35,
  kIptfsDropTime = 36,
  kIptfsReorderWindow = 37,
  kIptfsDontFragment = 38,
  kIptfsInitialDelay = 39,
  kIptfsMaxQueue = 40,
  kIptfsPacketSize = 41,
};

// Families and protocols that stand in the structures.
inline constexpr std::uint16_t kFamilyAny = 0;  // AF_UNSPEC
inline constexpr std::uint16_t kFamilyV4 = 2;   // AF_INET
inline constexpr std::uint16_t kFamilyV6 = 10;  // AF_INET6
inline constexpr std::uint8_t kProtocolEsp = 50;
inline constexpr std::uint8_t kProtocolAh = 51;
inline constexpr std::uint8_t kProtocolIpComp = 108;
inline constexpr std::uint8_t kProtocolAny = 255;  // IPSEC_PROTO_ANY, in FLUSHSA

enum Mode : std::uint8_t {
  kTransport = 0,
  kTunnel = 1,
  kRouteOptimization = 2,
  kInTrigger = 3,
  kBeet = 4,
  kIptfs = 5,
  kModes
};
enum PolicyDirection : std::uint8_t { kIn = 0, kOut = 1, kForward = 2, kDirections };
enum PolicyAction : std::uint8_t { kAllow = 0, kBlock = 1, kActions };
enum SaDirection : std::uint8_t { kSaIn = 1, kSaOut = 2 };
enum PolicyTypeValue : std::uint8_t { kMain = 0, kSub = 1, kAnyPolicyType = 255 };

inline constexpr std::uint64_t kInfinite = ~std::uint64_t{0};  // XFRM_INF

// xfrm_usersa_info.flags
inline constexpr std::uint8_t kSaNoEcn = 1;
inline constexpr std::uint8_t kSaDecapDscp = 2;
inline constexpr std::uint8_t kSaNoPmtuDisc = 4;
inline constexpr std::uint8_t kSaWildReceive = 8;
inline constexpr std::uint8_t kSaIcmp = 16;
inline constexpr std::uint8_t kSaAnyFamily = 32;
inline constexpr std::uint8_t kSaAlign4 = 64;
inline constexpr std::uint8_t kSaEsn = 128;
// XFRMA_SA_EXTRA_FLAGS
inline constexpr std::uint32_t kExtraDontEncapDscp = 1;
inline constexpr std::uint32_t kExtraSequenceMayWrap = 2;
// xfrm_userpolicy_info.flags
inline constexpr std::uint8_t kPolicyLocalOk = 1;
inline constexpr std::uint8_t kPolicyIcmp = 2;
// xfrm_user_offload.flags
inline constexpr std::uint8_t kOffloadInbound = 2;
inline constexpr std::uint8_t kOffloadPacket = 4;
// xfrm_aevent_id.flags
inline constexpr std::uint32_t kAeReplayThreshold = 1, kAeReplayValue = 2, kAeLifetimeValue = 4, kAeTimerThreshold = 8,
                               kAeReplayUpdate = 16, kAeTimerExpiry = 32, kAePolicyUpdate = 64;
// xfrm_encap_tmpl.encap_type
inline constexpr std::uint16_t kEspInUdp = 2;  // UDP_ENCAP_ESPINUDP, RFC 3948
inline constexpr std::uint16_t kEspInTcp = 7;  // TCP_ENCAP_ESPINTCP, RFC 8229

// Multicast groups (XFRMNLGRP_*).
enum class Group : std::uint8_t {
  kAcquire = 1,
  kExpire = 2,
  kSa = 3,
  kPolicy = 4,
  kAevents = 5,
  kReport = 6,
  kMigrate = 7,
  kMapping = 8,
  kLast = kMapping
};

// "NEWSA", "message type 77".
[[nodiscard]] std::string name_of(MessageType type);
// "ALG_AEAD", "attribute 99".
[[nodiscard]] std::string name_of(AttributeType type);

}  // namespace cygnet::wire::xfrm
