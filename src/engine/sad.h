// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security Association Database (RFC 4301 section 4.4.2): inbound by SPI, outbound by the policy they serve. One thread
// changes it; others may look up meanwhile (Epochs): they never wait, and the tables grow a few lines at a time.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/strong.h"
#include "engine/classifier/pool.h"
#include "engine/epochs.h"
#include "engine/flow_regions.h"
#include "engine/pointer_table.h"
#include "engine/sa.h"
#include "engine/serving.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

[[nodiscard]] bool same_keys(const model::SaSpec& a, const model::SaSpec& b);
[[nodiscard]] bool is_of_one_kind(const OutboundSa& a, const OutboundSa& b);
// A newer SA to the same peer takes its packets.
[[nodiscard]] bool is_superseded(const OutboundSa& sa);

class Sad {
 public:
  // With Epochs of its own: for one thread.
  explicit Sad(std::uint64_t seed) : Sad(nullptr, seed, nullptr) {}
  // regions, if given, are told of each change of an outbound SA.
  Sad(Epochs& epochs, std::uint64_t seed, FlowRegions* regions = nullptr) : Sad(&epochs, seed, regions) {}
  Sad(const Sad&) = delete;
  Sad& operator=(const Sad&) = delete;
  // Readers must be gone.
  ~Sad();

  [[nodiscard]] InboundSa* find_inbound(Spi spi) const { return inbound_by_spi_.find(spi); }
  // Asks for the memory that find_inbound() is going to look at.
  void prefetch_inbound(Spi spi) const { inbound_by_spi_.prefetch(spi); }
  // A burst: null for unknown SPIs. The misses overlap, and the first lines of the SAs are asked for.
  void find_inbound(std::span<const Spi> spis, std::span<InboundSa*> found) const;
  // By SPI and destination: what an ICMP error quotes. The SPI is the peer's choice, and behind one NAT there are
  // several peers: no name of one SA alone.
  [[nodiscard]] OutboundSa* find_outbound(Spi spi, const IpAddress& remote) const {
    return outbound_by_spi_.find({spi, remote, 0, nullptr});
  }
  // The same with UDP around it: the port tells peers behind one NAT apart.
  [[nodiscard]] OutboundSa* find_outbound(Spi spi, const Endpoint& remote) const {
    return outbound_by_spi_.find({spi, remote.address, remote.port, nullptr});
  }
  // The one that has the SPI, destination and keys of this one.
  [[nodiscard]] OutboundSa* find_twin(const model::SaSpec& spec) const {
    return outbound_by_spi_.find({spec.spi, spec.remote.address, 0, &spec});
  }
  [[nodiscard]] InboundSa* inbound_of(model::ChildId child) const { return inbound_by_child_.find(child); }
  [[nodiscard]] OutboundSa* outbound_of(model::ChildId child) const { return outbound_by_child_.find(child); }
  // The newest SA of the policy that is in use and takes this packet.
  [[nodiscard]] OutboundSa* select(model::PolicyId policy, const PacketSelectors& packet) const {
    const auto* serving = serving_.find(policy);
    return serving == nullptr ? nullptr : serving->find(packet);
  }
  // SAs that serve the policy, newest first.
  void for_each_serving(model::PolicyId policy, const std::function<void(OutboundSa&)>& visit) const;
  [[nodiscard]] std::size_t outbound_size() const { return outbound_by_child_.size(); }
  [[nodiscard]] std::size_t size() const { return inbound_by_spi_.size() + outbound_by_child_.size(); }

  // Replaces what it collides with: an inbound SA of the same SPI, an SA of the same child, an outbound SA under the
  // same keys. What is replaced or erased dies when readers have moved on.
  InboundSa& insert(std::unique_ptr<InboundSa> sa);
  OutboundSa& insert(std::unique_ptr<OutboundSa> sa);
  void erase(InboundSa& sa);
  void erase(OutboundSa& sa);
  // The peer's address is part of an outbound SA's name: change it only here.
  void move_outbound(OutboundSa& sa, const Endpoint& local, const Endpoint& remote);
  // SAs for single threads (RFC 9611) are spread over so many; none, while there is one thread.
  void spread_clones(std::size_t threads);
  // The SA came into use: threads find their SAs again. For the thread whose turn it is.
  void link_clones(const OutboundSa& changed);
  void for_each_inbound(const std::function<void(InboundSa&)>& visit) const;
  void for_each_outbound(const std::function<void(OutboundSa&)>& visit) const;

 private:
  struct InboundBySpi {
    using Key = Spi;
    static constexpr bool kExact = true;
    [[nodiscard]] static std::uint32_t name(Key key, std::uint64_t) { return key.value; }
    [[nodiscard]] static bool is(const InboundSa&, Key) { return true; }
  };
  struct ByChild {
    using Key = model::ChildId;
    static constexpr bool kExact = false;
    [[nodiscard]] static std::uint32_t name(Key key, std::uint64_t seed) {
      return static_cast<std::uint32_t>(mix64(key.value ^ seed));
    }
    [[nodiscard]] static bool is(const SaCommon& sa, Key key) { return sa.spec.child == key; }
  };
  struct OutboundName {
    Spi spi;
    IpAddress remote;
    std::uint16_t port = 0;               // 0: any
    const model::SaSpec* keys = nullptr;  // null: any
  };
  struct OutboundBySpi {
    using Key = OutboundName;
    static constexpr bool kExact = false;
    [[nodiscard]] static std::uint32_t name(const Key& key, std::uint64_t seed) {
      std::uint64_t h = seed ^ key.spi.value;
      const auto octets = key.remote.bytes();
      for (std::size_t i = 0; i < octets.size(); i += 4) h = mix64(h ^ load_be32(octets.data() + i));
      return static_cast<std::uint32_t>(h);
    }
    [[nodiscard]] static bool is(const OutboundSa& sa, const Key& key) {
      return sa.spec.spi == key.spi && sa.spec.remote.address == key.remote &&
             (key.port == 0 || sa.spec.remote.port == key.port) &&
             (key.keys == nullptr || same_keys(sa.spec, *key.keys));
    }
  };
  struct ByPolicy {
    using Key = model::PolicyId;
    static constexpr bool kExact = true;
    [[nodiscard]] static std::uint32_t name(Key key, std::uint64_t) { return key.value; }
    [[nodiscard]] static bool is(const Serving&, Key) { return true; }
  };

  Sad(Epochs* epochs, std::uint64_t seed, FlowRegions* regions);
  void tell(const OutboundSa& sa);
  void link_all_clones(model::PolicyId policy);
  void link_clones_of(const Serving& serving, OutboundSa& head) const;
  template <typename T>
  void discard(T& object);

  std::unique_ptr<Epochs> own_epochs_;
  Epochs& epochs_;
  FlowRegions* regions_;
  classifier::Pool pool_;
  PointerTable<InboundSa, InboundBySpi> inbound_by_spi_;
  PointerTable<InboundSa, ByChild> inbound_by_child_;
  PointerTable<OutboundSa, ByChild> outbound_by_child_;
  PointerTable<OutboundSa, OutboundBySpi> outbound_by_spi_;
  PointerTable<Serving, ByPolicy> serving_;
  std::size_t threads_ = 1;
};

}  // namespace cygnet::engine
