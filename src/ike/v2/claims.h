// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which children lead to which inner addresses: two clients that claim the same ones cannot both be served, for nobody
// could tell whose the packets are. And nobody may claim what the configuration says is a certain peer's, or ours.
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/strong.h"
#include "ike/v2/child_sa.h"
#include "model/sa_spec.h"
#include "model/traffic_selector.h"

namespace cygnet::ike::v2 {

// Ranges of addresses and whose they are; whoever has all addresses is not among them.
template <typename Owner>
class RangesOf {
 public:
  void add(Owner owner, const model::TrafficSelectors& ranges);
  void remove(Owner owner, const model::TrafficSelectors& ranges);
  // Owners of a part of this range, and perhaps some that have none of it. Not all of them where there are more than
  // `most`, but more than `most`.
  [[nodiscard]] std::vector<Owner> meeting(const IpRange& range, std::size_t most) const;
  // Owners of a range that begins there.
  [[nodiscard]] std::vector<Owner> beginning_at(const IpAddress& first) const;
  [[nodiscard]] std::size_t size() const { return by_first_.size(); }

 private:
  // A range that meets another one begins in it, or covers its first address: then the smallest prefix around it does,
  // too. Thousands of children may lead to the same network: each is found by itself.
  std::set<std::pair<IpAddress, Owner>> by_first_;
  std::set<std::tuple<std::uint8_t, IpAddress, Owner>> by_prefix_;  // length, network
  std::map<std::pair<Family, std::uint8_t>, std::size_t> lengths_;  // how many have a prefix of that length
};

using Claims = RangesOf<model::ChildId>;    // what children lead to
using NamedRanges = RangesOf<std::size_t>;  // what connections with a certain peer lead to, by their place in the list

// Empty where no two connections have an address in common: then nobody can claim what is another's.
[[nodiscard]] NamedRanges ranges_of_named_peers(const std::vector<ConnectionPtr>& connections);

struct World;
struct IkeSa;
struct ChildTerms;

// Why this peer cannot have these inner addresses: another peer, or in transport mode another host behind the same NAT,
// has them, or the configuration has them more closely for another peer, up or not, or for this end. Empty: it can.
// What other children have counts where it is left open who comes (right=%any): what is written for two known peers is
// meant.
[[nodiscard]] std::string claimed_by_another(const World& world, const IkeSa& sa, const ChildTerms& terms);

}  // namespace cygnet::ike::v2
