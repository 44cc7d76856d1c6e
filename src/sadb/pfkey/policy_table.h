// SPDX-License-Identifier: Apache-2.0
#pragma once

// The policies that came over PF_KEY, of all three directions.
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "sadb/pfkey/engine_port.h"
#include "wire/pfkey/message.h"

namespace cygnet::sadb {

// What makes two policies the same one.
struct PfkeySelector {
  wire::pfkey::PolicyDirection direction{};
  IpPrefix source, destination;  // host bits cleared
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t protocol = 0;  // kAnyProtocol: all
  auto operator<=>(const PfkeySelector&) const = default;
};

struct PfkeyPolicy {
  std::uint64_t serial = 0;  // grows; dumps go by it
  std::uint32_t id = 0;      // as Linux counts them: the low three bits are the direction
  PfkeySelector selector;
  wire::pfkey::PolicyType type{};
  std::uint32_t priority = 0;
  std::vector<wire::pfkey::PolicyRequest> requests;
  bool any_reqid = false;  // reqids are as they were said: none is made up, whatever their size
  std::optional<wire::pfkey::LifetimeExtension> hard, soft;
  std::int64_t added_wall_s = 0;
  Instant expires = kNever;
  model::PolicyId group;     // outbound and ipsec: whose SAs serve it
  model::PolicyId ah_group;  // outbound bundle: whose AH goes around
  bool leads = false;        // the device was asked for its packets
  [[nodiscard]] model::PolicyId engine_id() const {
    return model::PolicyId{kPfkeyPolicy | static_cast<std::uint32_t>(serial)};
  }
};

class PfkeyPolicyTable {
 public:
  static constexpr std::size_t kMostPolicies = 1U << 17U;

  PfkeyPolicy& add(PfkeyPolicy policy);  // gives it serial and id
  void erase(std::uint64_t serial);
  [[nodiscard]] PfkeyPolicy* find(const PfkeySelector& selector);
  [[nodiscard]] PfkeyPolicy* find(std::uint64_t serial);
  [[nodiscard]] const PfkeyPolicy* find(std::uint64_t serial) const;
  [[nodiscard]] PfkeyPolicy* find_id(std::uint32_t id);
  [[nodiscard]] PfkeyPolicy* after(std::uint64_t serial);
  [[nodiscard]] std::size_t size() const { return policies_.size(); }
  // Asked when its lifetime is set or changed.
  void expire_at(PfkeyPolicy& policy, Instant when);
  [[nodiscard]] Instant next_deadline() const { return expiring_.empty() ? kNever : expiring_.begin()->first; }
  [[nodiscard]] PfkeyPolicy* overdue(Instant now);

 private:
  std::map<std::uint64_t, PfkeyPolicy> policies_;
  std::map<PfkeySelector, std::uint64_t> by_selector_;
  std::unordered_map<std::uint32_t, std::uint64_t> by_id_;
  std::set<std::pair<Instant, std::uint64_t>> expiring_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace cygnet::sadb
