// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/policy_table.h"

namespace cygnet::sadb {
namespace {

constexpr std::uint64_t kMostSerials = 1U << 28U;  // eight ids each, and room for the mark of PF_KEY

std::uint32_t id_of(std::uint64_t serial, wire::pfkey::PolicyDirection direction) {
  using wire::pfkey::PolicyDirection;
  const std::uint32_t low = direction == PolicyDirection::kIn ? 0 : direction == PolicyDirection::kOut ? 1 : 2;
  return static_cast<std::uint32_t>(serial * 8) + low;
}

}  // namespace

PfkeyPolicy& PfkeyPolicyTable::add(PfkeyPolicy policy) {
  // Numbers are used again after a quarter of a thousand million policies; whoever lives that long keeps his.
  while (policies_.contains(next_serial_) || next_serial_ >= kMostSerials) {
    next_serial_ = next_serial_ >= kMostSerials ? 1 : next_serial_ + 1;
  }
  policy.serial = next_serial_++;
  policy.id = id_of(policy.serial, policy.selector.direction);
  by_selector_[policy.selector] = policy.serial;
  by_id_[policy.id] = policy.serial;
  if (policy.expires != kNever) expiring_.insert({policy.expires, policy.serial});
  return policies_.emplace(policy.serial, std::move(policy)).first->second;
}

void PfkeyPolicyTable::erase(std::uint64_t serial) {
  const auto it = policies_.find(serial);
  if (it == policies_.end()) return;
  by_selector_.erase(it->second.selector);
  by_id_.erase(it->second.id);
  expiring_.erase({it->second.expires, serial});
  policies_.erase(it);
}

PfkeyPolicy* PfkeyPolicyTable::find(const PfkeySelector& selector) {
  const auto it = by_selector_.find(selector);
  return it == by_selector_.end() ? nullptr : find(it->second);
}

PfkeyPolicy* PfkeyPolicyTable::find(std::uint64_t serial) {
  const auto it = policies_.find(serial);
  return it == policies_.end() ? nullptr : &it->second;
}

const PfkeyPolicy* PfkeyPolicyTable::find(std::uint64_t serial) const {
  const auto it = policies_.find(serial);
  return it == policies_.end() ? nullptr : &it->second;
}

PfkeyPolicy* PfkeyPolicyTable::find_id(std::uint32_t id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : find(it->second);
}

PfkeyPolicy* PfkeyPolicyTable::after(std::uint64_t serial) {
  const auto it = policies_.upper_bound(serial);
  return it == policies_.end() ? nullptr : &it->second;
}

void PfkeyPolicyTable::expire_at(PfkeyPolicy& policy, Instant when) {
  expiring_.erase({policy.expires, policy.serial});
  policy.expires = when;
  if (when != kNever) expiring_.insert({when, policy.serial});
}

PfkeyPolicy* PfkeyPolicyTable::overdue(Instant now) {
  if (expiring_.empty() || expiring_.begin()->first > now) return nullptr;
  return find(expiring_.begin()->second);
}

}  // namespace cygnet::sadb
