// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security Association Database (RFC 4301 section 4.4.2): inbound by SPI, outbound by the policy they serve.
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/strong.h"
#include "engine/sa.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

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
