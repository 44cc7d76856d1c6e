// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every way a packet can end, declared once: name, what it means, what to do about it.
// Counters, logs, `cygnet drops` and `cygnet explain` all read this table.
#include <array>
#include <cstdint>
#include <string_view>

namespace cygnet {

enum class DropReason : std::uint8_t {
  // inbound, before an SA is known
  kTruncated,        // shorter than its own headers say
  kMalformedIp,      // IP header contradicts itself
  kNotEsp,           // nothing we speak
  kUnknownSpi,       // no inbound SA with this SPI
  kFragmentOverlap,  // fragments of one packet that overlap or contradict
  kFragmentTimeout,  // fragments of a packet that never completed
  kReassemblyFull,   // reassembly memory is used up
  // inbound, against its SA
  kReplayOld,          // sequence number left of the window
  kReplaySeen,         // sequence number seen before
  kIntegrityFailed,    // ICV does not verify
  kBadPadding,         // trailer contradicts itself
  kBadNextHeader,      // next header not possible in this mode
  kBadCompression,     // IPComp that cannot be expanded, or was not agreed on
  kDummy,              // RFC 4303 2.6 dummy packet, next header 59
  kWrongProtocol,      // ESP with the SPI of an AH SA, or the other way round
  kUnknownOption,      // an IP option or extension header that AH cannot authenticate
  kNotBundled,         // ESP that should have come inside AH
  kBadAggregation,     // IP-TFS payload that contradicts itself (RFC 9347)
  kAggregationLost,    // part of an inner packet was in an outer one that never came
  kSaExpired,          // hard lifetime reached
  kSequenceExhausted,  // sequence number space used up
  kInnerMalformed,     // decrypted packet is not a sound IP packet
  kSelectorMismatch,   // decrypted packet is outside its SA's selectors (RFC 4301 5.2 step 4)
  kEcnDropped,         // RFC 6040: inner not-ECT under outer CE
  kPlainTextRefused,   // arrived in the clear though a policy protects it
  // outbound
  kPolicyDiscard,     // a DISCARD policy, or no policy at all
  kNoSa,              // PROTECT policy without SA, nothing may be negotiated
  kAcquireQueueFull,  // waiting for a tunnel, queue is full
  kAcquireTimeout,    // waited for a tunnel that did not come up
  kTooBig,            // larger than the path takes and may not be fragmented (the sender was told)
  kTtlExpired,        // hop limit ran out at the tunnel entry
  kNoRoute,           // the kernel had no way to the peer
  kSendFailed,        // the kernel refused the datagram
  kDeviceFull,        // ipsec device queue is full
  kNoBuffer,          // packet pool empty
  kTfsQueueFull,      // IP-TFS sends at its rate, and more waits than may
  kCipherFailed,      // the cipher or its accelerator gave a packet back undone
  kSharedAddress,     // several peers share the destination behind a NAT, and nothing tells which one is meant
  kControlQueueFull,  // IKE datagrams arrive faster than ike takes them
  kCount
};

inline constexpr std::size_t kDropReasonCount = static_cast<std::size_t>(DropReason::kCount);

struct DropReasonInfo {
  std::string_view name;    // kebab-case, stable: scripts rely on it
  std::string_view why;     // one sentence
  std::string_view remedy;  // one sentence: what to do next
};

[[nodiscard]] const DropReasonInfo& info(DropReason reason);

using DropCounters = std::array<std::uint64_t, kDropReasonCount>;

}  // namespace cygnet
