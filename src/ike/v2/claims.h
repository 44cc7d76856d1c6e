// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which children lead to which inner addresses: two clients that claim the same ones cannot both be served, for nobody
// could tell whose the packets are.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/strong.h"
#include "model/sa_spec.h"
#include "model/traffic_selector.h"

namespace cygnet::ike::v2 {

class Claims {
 public:
  void add(model::ChildId child, const model::TrafficSelectors& remote);
  void remove(model::ChildId child, const model::TrafficSelectors& remote);
  // Children that claim a part of this range, and perhaps some that do not.
  [[nodiscard]] std::vector<model::ChildId> meeting(const IpRange& range) const;
  [[nodiscard]] std::size_t size() const { return by_first_.size(); }

 private:
  // A range that meets another one begins in it, or covers its first address: then the smallest prefix around it does,
  // too. Thousands of children may lead to the same network: each is found by itself.
  std::set<std::pair<IpAddress, model::ChildId>> by_first_;
  std::set<std::tuple<std::uint8_t, IpAddress, model::ChildId>> by_prefix_;  // length, network
  std::map<std::pair<Family, std::uint8_t>, std::size_t> lengths_;           // how many have a prefix of that length
};

struct World;
struct IkeSa;
struct ChildTerms;

// Why this peer cannot have these inner addresses: another peer, or in transport mode another host behind the same NAT,
// has them. Empty: it can. Asked where the configuration leaves open who comes (right=%any); what an administrator
// wrote for two known peers is meant.
[[nodiscard]] std::string claimed_by_another(const World& world, const IkeSa& sa, const ChildTerms& terms);

}  // namespace cygnet::ike::v2
