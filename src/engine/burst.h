// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the stages of a burst hand on to each other. Kept between bursts, so that nothing is allocated or cleared.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/drop_reason.h"
#include "crypto/esp_cipher.h"
#include "engine/flow_cache.h"
#include "engine/packet.h"
#include "engine/sa.h"
#include "engine/selectors.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

// Packets that go through a stage together: enough to wait for memory once and not once a packet, few enough that what
// was fetched is still in the nearest cache when its turn comes.
inline constexpr std::size_t kBurst = 32;
// Packets handed to the ciphers at once; a packet of the device may become many.
inline constexpr std::size_t kCipherBurst = 128;
// Where several threads share an engine: a whole burst, because each time the ciphers work costs a turn.
inline constexpr std::size_t kMostCipherBurst = 2048;

// A packet on its way out.
struct Parsed {
  MutableByteView bytes;  // exactly the packet
  wire::IpPacketInfo info;
  Offload offload;
  DeviceId device = 0;
  std::size_t tailroom = 0;  // behind the packet
  bool reassembled = false;
  bool sound = false;  // else refused says why not
  DropReason refused{};
};

// An ESP packet on its way in: where it stands, and which datagram of the burst it came in.
struct EspPiece {
  MutableByteView esp;
  std::uint32_t index = 0;
  bool inside_ah = false;  // AH was around it
};

struct BurstScratch {
  // out
  std::array<Parsed, kBurst> parsed;
  std::array<FlowKey, kBurst> keys;
  std::array<FlowPlace, kBurst> places;
  std::array<FlowTarget, kBurst> targets;
  // Packets whose flow is not in the cache: their numbers in the burst, and what the SPD is asked and says of them.
  std::array<std::uint32_t, kBurst> missed;
  std::array<PacketSelectors, kBurst> selectors;
  std::array<DeviceId, kBurst> devices;
  std::array<Policy*, kBurst> policies;
  std::array<OutboundSa*, kMostCipherBurst> sealing;  // whose each job is
  // in
  std::array<EspPiece, kBurst> pieces;
  std::array<Spi, kBurst> spis;
  std::array<InboundSa*, kBurst> sas;
  std::array<InboundSa*, kMostCipherBurst> opening;
  std::array<std::uint32_t, kMostCipherBurst> index_of_job;
  // both
  std::array<crypto::EspJob, kMostCipherBurst> jobs;
};

// Fetches the keys of the jobs that come next while the ciphers work on those before: few at a time, because a
// processor waits for few lines of memory at once.
template <typename Sa>
class KeysAhead {
 public:
  KeysAhead(std::span<Sa* const> sas, std::span<const crypto::EspJob> jobs) : sas_(sas), jobs_(jobs) { fetch(0); }
  // The job at `next` is about to be worked on after the present ones.
  void fetch(std::size_t next) {
    for (const auto end = std::min(next + kAhead, sas_.size()); fetched_ < end; ++fetched_) {
      const bool again = fetched_ > 0 && sas_[fetched_] == sas_[fetched_ - 1];
      if (!again) crypto::prefetch_keys(sas_[fetched_]->keys, jobs_[fetched_].octets);
    }
  }

 private:
  static constexpr std::size_t kAhead = 4;
  std::span<Sa* const> sas_;
  std::span<const crypto::EspJob> jobs_;
  std::size_t fetched_ = 0;
};

}  // namespace cygnet::engine
