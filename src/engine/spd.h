// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security Policy Database (RFC 4301 section 4.4.1): ordered entries behind a classifier whose cost does not grow with
// their number. One thread changes it; others may look up meanwhile (Epochs).
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "engine/classifier/classifier.h"
#include "engine/epochs.h"
#include "engine/flow_regions.h"
#include "engine/packet.h"
#include "engine/pointer_table.h"
#include "engine/selectors.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

struct Policy {
  model::PolicySpec spec;
  DeviceId device = 0;
  bool any_device = false;  // spec.device is empty
  static constexpr Duration kAcquireAgain = std::chrono::seconds(1);
  Instant acquire_again{};  // before that no Acquire is raised: one was, and nothing came of it yet
  // Its places in the classifier; kept by Spd.
  classifier::Rule<classifier::V4>* v4_rules = nullptr;
  classifier::Rule<classifier::V6>* v6_rules = nullptr;

  [[nodiscard]] bool matches(const PacketSelectors& packet) const;
};

class Spd {
 public:
  // With Epochs of its own: for one thread.
  Spd() : Spd(nullptr, 0, nullptr) {}
  // regions, if given, are told of each change.
  Spd(Epochs& epochs, std::uint64_t seed, FlowRegions* regions = nullptr) : Spd(&epochs, seed, regions) {}
  Spd(const Spd&) = delete;
  Spd& operator=(const Spd&) = delete;
  // Readers must be gone.
  ~Spd();

  // Replaces by id; pointers to the replaced policy die (when readers have moved on).
  Policy& install(const model::PolicySpec& spec, DeviceId device);
  bool remove(model::PolicyId id);
  [[nodiscard]] Policy* find(model::PolicyId id) const { return by_id_.find(id); }
  // The first matching entry by order, then id, of this device.
  [[nodiscard]] Policy* find(const PacketSelectors& packet, DeviceId device) const;
  // The same on whatever device: for packets that came from elsewhere.
  [[nodiscard]] Policy* find(const PacketSelectors& packet) const;
  // A burst: the same for each packet and its device. The misses of up to 64 packets overlap.
  void find(std::span<const PacketSelectors> packets, std::span<const DeviceId> devices,
            std::span<Policy*> found) const;
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }
  [[nodiscard]] std::vector<const Policy*> ordered() const;
  // Memory of the classifier and its rules, without the specs.
  [[nodiscard]] std::size_t index_octets() const { return pool_.octets() + rule_pool_.octets(); }

 private:
  struct ById {
    using Key = model::PolicyId;
    static constexpr bool kExact = true;
    [[nodiscard]] static std::uint32_t name(Key key, std::uint64_t) { return key.value; }
    [[nodiscard]] static bool is(const Policy&, Key) { return true; }
  };

  Spd(Epochs* epochs, std::uint64_t seed, FlowRegions* regions);
  template <typename V>
  void index(Policy& policy, classifier::Classifier<V>& classifier, classifier::Rule<V>*& rules);
  template <typename V>
  void unindex(classifier::Classifier<V>& classifier, classifier::Rule<V>* rules);
  template <typename V>
  std::size_t find_burst(const classifier::Classifier<V>& classifier, std::span<const PacketSelectors> packets,
                         std::span<const DeviceId> devices, std::span<Policy*> found) const;
  [[nodiscard]] Policy* search(const PacketSelectors& packet, std::uint32_t device) const;
  void discard(Policy& policy);

  std::unique_ptr<Epochs> own_epochs_;
  Epochs& epochs_;
  FlowRegions* regions_;
  classifier::Pool pool_;
  classifier::Pool rule_pool_;  // of their own: what every lookup needs lies closer together without them
  classifier::Classifier<classifier::V4> v4_;
  classifier::Classifier<classifier::V6> v6_;
  PointerTable<Policy, ById> by_id_;
};

}  // namespace cygnet::engine
