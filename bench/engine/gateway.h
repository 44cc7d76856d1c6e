// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway in memory with many SAs and policies, and the packets for it.
//
// The inner packets are UDP over IPv4. Policy k protects one block of 10.0.0.0/8, the blocks lie side by side. An SA
// serves the policy of its block; where several serve one policy, each is narrowed to one host of the block (as a
// responder narrows, or as "populate from packet" makes them). Every SA carries one flow, and packets take the SAs in
// random order.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "algorithms.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/lane.h"

namespace cygnet::bench {

struct Scale {
  std::size_t size = 64;  // octets of the inner packet
  std::uint32_t sas = 1;  // in the measured direction
  std::uint32_t policies = 1;
  std::uint32_t cores = 1;
  std::size_t burst = 64;  // packets handed to the engine at a time
};

// Packets that a lane is given at a time.
inline constexpr std::size_t kLaneBurst = 32;

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
  // The SAs in random order.
  [[nodiscard]] const std::vector<std::uint32_t>& order() const { return order_; }

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
};

// Goes through SAs in a random order, again and again.
class Turns {
 public:
  // Of `of` cores core i: inbound its share of the SAs (the kernel gives a peer's packets to one socket), else all of
  // them from another beginning.
  Turns(const Gateway& gateway, std::uint32_t i, std::uint32_t of, bool share) {
    const auto& order = gateway.order();
    const std::size_t from = order.size() * i / of;
    const std::size_t count = share ? std::max<std::size_t>(1, order.size() / of) : order.size();
    for (std::size_t k = 0; k < count; ++k) sas_.push_back(order[(from + k) % order.size()]);
  }
  [[nodiscard]] std::uint32_t next() { return sas_[turn_ == sas_.size() ? turn_ = 1, 0 : turn_++]; }
  [[nodiscard]] std::size_t size() const { return sas_.size(); }

 private:
  std::vector<std::uint32_t> sas_;
  std::size_t turn_ = 0;
};

// One engine, and the lanes of the cores that work with it (engine/lane.h); with one core none.
class SharedGateway {
 public:
  SharedGateway(const Algorithm& algorithm, const Scale& scale, model::Direction direction, std::uint64_t seed)
      : gateway(algorithm, scale, direction, seed) {
    if (scale.cores == 1) return;
    gateway.engine().share(lock_);
    for (std::uint32_t i = 0; i < scale.cores; ++i) lanes.push_back(gateway.engine().open_lane());
  }
  Gateway gateway;
  std::vector<engine::Lane*> lanes;

 private:
  // As the daemon's: looks some times before it sleeps.
  class Lock final : public engine::Turn {
   public:
    void take() override {
      for (int looks = 0; looks < 200; ++looks) {
        if (mutex_.try_lock()) return;
        __builtin_ia32_pause();
      }
      mutex_.lock();
    }
    void give() override { mutex_.unlock(); }

   private:
    std::mutex mutex_;
  };
  Lock lock_;
};

// An IPv4 UDP packet of this size between the two hosts, seen from ours if outbound.
void write_packet(std::uint8_t* to, std::size_t size, std::uint32_t source, std::uint32_t destination);

// How many packets to prepare at a time: what a network card leaves in the caches, no more.
[[nodiscard]] std::size_t round_packets(const Scale& scale);

}  // namespace cygnet::bench
