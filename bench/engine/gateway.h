// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway in memory with many SAs and policies, and the packets for it.
//
// The inner packets are UDP over IPv4. Policy k protects one block of 10.0.0.0/8, the blocks lie side by side. An SA
// serves the policy of its block; where several serve one policy, each is narrowed to one host of the block (as a
// responder narrows, or as "populate from packet" makes them). Every SA carries one flow, and packets take the SAs in
// random order.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "algorithms.h"
#include "base/random.h"
#include "engine/engine.h"

namespace cygnet::bench {

struct Scale {
  std::size_t size = 64;  // octets of the inner packet
  std::uint32_t sas = 1;  // in the measured direction
  std::uint32_t policies = 1;
  std::uint32_t cores = 1;
  std::size_t burst = 64;  // packets handed to the engine at a time
};

class Gateway {
 public:
  enum class Side : bool { kOurs, kPeer };  // kPeer: the same tunnels seen from their other ends
  Gateway(const Algorithm& algorithm, const Scale& scale, model::Direction direction, std::uint64_t seed,
          Side side = Side::kOurs);

  engine::Engine& engine() { return engine_; }
  [[nodiscard]] engine::DeviceId device() const { return device_; }
  // Where SA i's host is, behind the peer.
  [[nodiscard]] std::uint32_t host(std::uint32_t sa) const;
  [[nodiscard]] Spi spi(std::uint32_t sa) const { return Spi{kFirstSpi + sa * kSpiStep}; }
  [[nodiscard]] const Scale& scale() const { return scale_; }
  // The next SA in the random order; after scale().sas calls each had its turn.
  [[nodiscard]] std::uint32_t next() { return order_[turn_ == order_.size() ? turn_ = 1, 0 : turn_++]; }

  static constexpr std::uint32_t kLocalHost = 0x0a800001U;  // ours
  static constexpr Instant kNow{std::chrono::hours(1)};

 private:
  static constexpr std::uint32_t kFirstSpi = 0x1000;
  static constexpr std::uint32_t kSpiStep = 0x9e3779b1U & 0xfffU;

  void install_policies();
  void install_sas(const Algorithm& algorithm, model::Direction direction);

  Scale scale_;
  SeededRandom random_;
  engine::Engine engine_;
  engine::DeviceId device_;
  Side side_;
  unsigned block_bits_ = 0;  // of each policy's block of addresses
  std::vector<std::uint32_t> order_;
  std::size_t turn_ = 0;
};

// An IPv4 UDP packet of this size between the two hosts, seen from ours if outbound.
void write_packet(std::uint8_t* to, std::size_t size, std::uint32_t source, std::uint32_t destination);

// How many packets to prepare at a time: what a network card leaves in the caches, no more.
[[nodiscard]] std::size_t round_packets(const Scale& scale);

}  // namespace cygnet::bench
