// SPDX-License-Identifier: Apache-2.0
#pragma once

// A Security Association in the engine (RFC 4301 section 4.4.2.1).
//
// Of a hundred thousand SAs each packet meets another one, so what a packet touches is small and stands together: one
// cache line that both directions have, and one line of the direction. It is derived from the specification, which
// stays the truth: refresh() after the specification changed.
#include <array>
#include <cstdint>
#include <memory>

#include "base/slab.h"
#include "base/time.h"
#include "crypto/esp_cipher.h"
#include "engine/ah.h"
#include "engine/classifier/rule.h"
#include "engine/ipcomp.h"
#include "engine/packet.h"
#include "engine/replay_window.h"
#include "engine/tfs_receiver.h"
#include "engine/tfs_sender.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

inline constexpr std::size_t kCacheLine = 64;

// Soft and hard limits as counters see them: the largest number where the spec says unlimited.
struct SaLimits {
  std::uint64_t soft_bytes = UINT64_MAX, hard_bytes = UINT64_MAX;
  std::uint64_t soft_packets = UINT64_MAX, hard_packets = UINT64_MAX;
  [[nodiscard]] static SaLimits of(const model::SaSpec& spec);
};

struct SaCommon {
  // ---- the line of every packet
  alignas(kCacheLine) crypto::EspCipher* worker = nullptr;  // of cipher, once the first packet came: see begin()
  const std::uint8_t* keys = nullptr;                       // what it reads; only to prefetch
  std::uint64_t sequence = 0;                               // outbound: last one used
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // clear text octets, as RFC 4301 lifetimes count them
  // While both counters stay below these there is no limit to look at.
  std::uint64_t quiet_packets = 0;
  std::uint64_t quiet_bytes = 0;
  Spi spi;
  std::uint8_t iv_octets = 0;
  std::uint8_t icv_octets = 0;
  std::uint8_t block_octets = 4;
  bool dead : 1 = false;       // hard lifetime reached: carries nothing, removed at the next on_timer()
  bool shareable : 1 = false;  // worker may be called by several threads at once
  bool urgent : 1 = false;     // traffic=latency

  // ---- the rest
  model::SaSpec spec;  // keys are wiped with it
  std::unique_ptr<crypto::EspCipher> cipher;
  std::unique_ptr<AhTransform> ah;  // instead of a cipher
  SaLimits limits;
  std::uint64_t errors = 0;  // replay + integrity + selector failures
  Instant installed{};
  std::uint64_t serial = 0;    // tells a replaced SA from its successor
  Instant timer_at = kNever;   // the one timer entry that counts, the earliest there is
  Instant parked_at = kNever;  // a later entry of this SA that is in the heap too
  bool soft_reported = false;

  // Whether this many octets more are far from every limit.
  [[nodiscard]] bool is_quiet(std::size_t octets) const {
    return packets + 1 < quiet_packets && bytes + octets < quiet_bytes;
  }
  // The first packet is there: makes the key schedule.
  void begin();
  // After limits, soft_reported or sequence changed otherwise than by a packet.
  void refresh_limits();
};

struct OutboundSa;

// SAs for single threads (RFC 9611) of the kind of one that is for all: by the number of the thread; null: none.
struct ClonesOfSa {
  static constexpr std::size_t kMostThreads = 16;
  std::array<OutboundSa*, kMostThreads> of_thread{};
};

// Its place among the SAs of its policy; kept by Serving.
struct ServingLinks {
  OutboundSa* older = nullptr;
  OutboundSa* newer = nullptr;
  std::uint64_t age = 0;  // larger: newer
  classifier::Rule<classifier::V4>* v4_rules = nullptr;
  classifier::Rule<classifier::V6>* v6_rules = nullptr;
};

struct OutboundSa : SaCommon, InSlab<OutboundSa> {
  // ---- the line of every packet out
  alignas(kCacheLine) Instant last_used{};
  Endpoint local;  // of the outer packet
  Endpoint remote;
  std::uint32_t mark = 0;
  std::uint32_t inner_mtu = 0;  // derived: largest clear-text packet that fits
  bool has_mark : 1 = false;
  bool udp : 1 = false;
  bool transport : 1 = false;
  bool compress : 1 = false;
  bool clamp_mss : 1 = false;
  bool with_ah : 1 = false;
  bool pads : 1 = false;
  bool aggfrag : 1 = false;
  bool diet : 1 = false;
  bool has_clones : 1 = false;
  bool seals_from_elsewhere = false;  // see EspCipher
  std::uint8_t tos_mask = 0;          // what of the inner TOS or traffic class the outer header shows
  model::DfPolicy df = model::DfPolicy::kCopy;

  // ---- the rest
  std::uint32_t link_mtu = 0;     // of the route, as the daemon said; 0: the engine's default
  std::uint32_t learned_mtu = 0;  // from the network; 0: nothing learned
  Instant learned_at{};
  Compressibility compressibility;
  std::shared_ptr<TfsSender> tfs;  // IP-TFS; handed on when the SA is installed again
  Instant keepalive_at{};          // installed, or the last keepalive
  // Where several threads share the engine: the last burst that sends on it. See Lane.
  std::uint64_t lane_ticket = 0;
  std::uint8_t lane = 0;
  ServingLinks serving;
  std::unique_ptr<ClonesOfSa> clones;  // kept by Sad

  void begin();
  // What this thread sends on.
  [[nodiscard]] OutboundSa& for_thread(std::size_t thread) {
    if (!has_clones || thread >= ClonesOfSa::kMostThreads) return *this;
    auto* clone = clones->of_thread[thread];
    return clone == nullptr || clone->dead ? *this : *clone;
  }
  [[nodiscard]] Instant last_sent() const { return last_used > keepalive_at ? last_used : keepalive_at; }
  void refresh();
};

// The selectors of an SA that has one IPv4 range a side, all protocols and ports: what most SAs are.
struct Ipv4Box {
  std::uint32_t local = 1, local_span = 0;    // first address, and the last one minus it
  std::uint32_t remote = 1, remote_span = 0;  // default: holds nothing that is looked for, see known
  [[nodiscard]] bool holds(std::uint32_t local_address, std::uint32_t remote_address) const {
    return local_address - local <= local_span && remote_address - remote <= remote_span;
  }
};

struct InboundSa : SaCommon, InSlab<InboundSa> {
  InboundSa(std::uint32_t window, bool esn) : replay(window, esn) {}
  // ---- the line of every packet in
  alignas(kCacheLine) Instant last_used{};
  ReplayWindow replay;
  Ipv4Box box;
  std::uint64_t remote_tag = 0;  // of spec.remote, see tag_of()
  DeviceId device = 0;
  bool has_box : 1 = false;
  bool tunnel : 1 = true;
  bool ecn : 1 = false;
  bool udp : 1 = false;
  bool with_ah : 1 = false;
  bool inside_ah : 1 = false;
  bool aggfrag : 1 = false;
  bool diet : 1 = false;
  bool moved = false;           // reported_remote is set
  bool look_at_sibling = true;  // it may be standby; set again when another sibling comes

  // ---- the rest
  Endpoint reported_remote;          // last address told in PeerMoved
  OutboundSa* sibling = nullptr;     // of the same child; kept by Sad
  std::shared_ptr<TfsReceiver> tfs;  // IP-TFS; handed on when the SA is installed again

  void refresh();
};

// Tells IPv4 endpoints apart in one comparison; 0 for IPv6, which have to be compared in full.
[[nodiscard]] inline std::uint64_t tag_of(const Endpoint& endpoint) {
  if (!endpoint.address.is_v4()) return 0;
  return std::uint64_t{1} << 48U | std::uint64_t{endpoint.address.v4_value()} << 16U | endpoint.port;
}

// Of all lines that a packet out or in touches.
template <typename Sa>
void prefetch_sa(const Sa* sa) {
  __builtin_prefetch(sa, 1);
  __builtin_prefetch(&sa->last_used, 1);
}

}  // namespace cygnet::engine
