// SPDX-License-Identifier: Apache-2.0
#pragma once

// A Security Association in the engine (RFC 4301 section 4.4.2.1): what was installed, and what changes as it is used.
#include <cstdint>
#include <memory>

#include "base/time.h"
#include "crypto/esp_cipher.h"
#include "engine/packet.h"
#include "engine/replay_window.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

// Soft and hard limits as counters see them: the largest number where the spec says unlimited.
struct SaLimits {
  std::uint64_t soft_bytes = UINT64_MAX, hard_bytes = UINT64_MAX;
  std::uint64_t soft_packets = UINT64_MAX, hard_packets = UINT64_MAX;
  [[nodiscard]] static SaLimits of(const model::SaSpec& spec);
};

struct SaCommon {
  model::SaSpec spec;  // keys are wiped with it
  std::unique_ptr<crypto::EspCipher> cipher;
  std::size_t iv_octets = 0;
  std::size_t icv_octets = 0;
  std::size_t block_octets = 4;
  SaLimits limits;
  model::SaCounters counters;
  std::uint64_t serial = 0;   // tells a replaced SA from its successor
  Instant timer_at = kNever;  // the one timer entry that counts
  bool soft_reported = false;
  bool dead = false;  // hard lifetime reached: carries nothing, removed at the next on_timer()
};

struct OutboundSa;

struct InboundSa : SaCommon {
  InboundSa(std::uint32_t window, bool esn) : replay(window, esn) {}
  ReplayWindow replay;
  DeviceId device = 0;
  Endpoint reported_remote;       // last address told in PeerMoved
  OutboundSa* sibling = nullptr;  // of the same child; kept by Sad
};

struct OutboundSa : SaCommon {
  std::uint64_t sequence = 0;     // last one used
  std::uint32_t link_mtu = 0;     // of the route, as the daemon said; 0: the engine's default
  std::uint32_t learned_mtu = 0;  // from the network; 0: nothing learned
  Instant learned_at{};
  std::uint32_t inner_mtu = 0;  // derived: largest clear-text packet that fits
  Instant last_sent{};          // anything, keepalives included
};

}  // namespace cygnet::engine
