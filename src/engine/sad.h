// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security Association Database (RFC 4301 section 4.4.2): inbound by SPI, outbound by the policy they serve.
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/strong.h"
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

class Sad {
 public:
  explicit Sad(std::uint32_t hash_seed) : hash_seed_(hash_seed | 1U) { slots_.resize(kFirstSlots); }

  [[nodiscard]] InboundSa* find_inbound(Spi spi) const {
    for (std::size_t i = home(spi); slots_[i] != nullptr; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i]->spec.spi == spi) return slots_[i].get();
    }
    return nullptr;
  }
  // By SPI and destination: what an ICMP error quotes.
  [[nodiscard]] OutboundSa* find_outbound(Spi spi, const IpAddress& remote) const;
  [[nodiscard]] InboundSa* inbound_of(model::ChildId child) const;
  [[nodiscard]] OutboundSa* outbound_of(model::ChildId child) const;
  // SAs that serve the policy, oldest first.
  [[nodiscard]] const std::vector<OutboundSa*>& serving(model::PolicyId policy) const;
  [[nodiscard]] std::size_t size() const { return inbound_count_ + outbound_.size(); }

  // Replaces what it collides with.
  InboundSa& insert(std::unique_ptr<InboundSa> sa);
  OutboundSa& insert(std::unique_ptr<OutboundSa> sa);
  void erase(InboundSa& sa);
  void erase(OutboundSa& sa);
  // The peer's address is part of an outbound SA's name: change it only here.
  void move_outbound(OutboundSa& sa, const Endpoint& local, const Endpoint& remote);
  void for_each_inbound(const std::function<void(InboundSa&)>& visit) const;
  void for_each_outbound(const std::function<void(OutboundSa&)>& visit) const;

 private:
  static constexpr std::size_t kFirstSlots = 64;
  struct OutboundKey {
    Spi spi;
    IpAddress remote;
    bool operator==(const OutboundKey&) const = default;
  };
  struct OutboundKeyHash {
    std::size_t operator()(const OutboundKey& k) const noexcept {
      return std::hash<Spi>{}(k.spi) * 0x9e3779b97f4a7c15ULL + std::hash<IpAddress>{}(k.remote);
    }
  };

  [[nodiscard]] std::size_t home(Spi spi) const {
    return (static_cast<std::uint64_t>(spi.value * hash_seed_) * 0x9e3779b97f4a7c15ULL >> 32U) & (slots_.size() - 1);
  }
  void place(std::unique_ptr<InboundSa> sa);
  void grow();

  std::uint32_t hash_seed_;
  // Open addressing, linear probing, at most half full, size a power of two.
  std::vector<std::unique_ptr<InboundSa>> slots_;
  std::size_t inbound_count_ = 0;
  std::unordered_map<model::ChildId, InboundSa*> inbound_by_child_;
  std::unordered_map<model::ChildId, std::unique_ptr<OutboundSa>> outbound_;
  std::unordered_map<OutboundKey, OutboundSa*, OutboundKeyHash> outbound_by_spi_;
  std::unordered_map<model::PolicyId, std::vector<OutboundSa*>> serving_;
};

}  // namespace cygnet::engine
