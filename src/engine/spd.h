// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security Policy Database (RFC 4301 section 4.4.1): ordered entries, found by their remote prefixes.
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "engine/packet.h"
#include "engine/selectors.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

struct Policy {
  model::PolicySpec spec;
  DeviceId device = 0;
  bool any_device = false;       // spec.device is empty
  bool acquire_pending = false;  // Acquire was raised and nothing came of it yet

  [[nodiscard]] bool matches(const PacketSelectors& packet) const;
};

class Spd {
 public:
  // Replaces by id; pointers to the replaced policy die.
  Policy& install(const model::PolicySpec& spec, DeviceId device);
  bool remove(model::PolicyId id);
  [[nodiscard]] Policy* find(model::PolicyId id);
  // The first matching entry by order, then id, of this device.
  [[nodiscard]] Policy* find(const PacketSelectors& packet, DeviceId device) const;
  // The same on whatever device: for packets that came from elsewhere.
  [[nodiscard]] Policy* find(const PacketSelectors& packet) const;
  [[nodiscard]] std::size_t size() const { return policies_.size(); }
  [[nodiscard]] std::vector<const Policy*> ordered() const;

 private:
  // Tuple space search: one hash table for each prefix length in use, so that the cost grows with the number of
  // different lengths and not with the number of policies.
  using Bucket = std::vector<Policy*>;  // in policy order
  using Table = std::unordered_map<IpAddress, Bucket>;
  using Tables = std::map<std::uint8_t, Table>;  // by prefix length

  [[nodiscard]] Policy* search(const PacketSelectors& packet, const DeviceId* device) const;
  void index(Policy& policy);
  void unindex(const Policy& policy);
  [[nodiscard]] Tables& tables(Family family) { return family == Family::kV4 ? v4_ : v6_; }
  [[nodiscard]] const Tables& tables(Family family) const { return family == Family::kV4 ? v4_ : v6_; }

  std::unordered_map<model::PolicyId, std::unique_ptr<Policy>> policies_;
  Tables v4_;
  Tables v6_;
};

}  // namespace cygnet::engine
