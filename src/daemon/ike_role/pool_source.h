// SPDX-License-Identifier: Apache-2.0
#pragma once

// ike asks for addresses, policy has them, the monitor keeps what changes.
#include "base/time.h"
#include "ike/address_source.h"
#include "policy/address_pools.h"
#include "store/lease_store.h"

namespace cygnet::daemon {

class PoolSource final : public ike::AddressSource {
 public:
  explicit PoolSource(const Clock& clock) : clock_(clock) { (void)pools_.take_changes(); }

  [[nodiscard]] Result<IpAddress> assign(const Question& q) override {
    begin();
    return pools_.assign({q.connection.remote.pools, q.peer, q.from, q.family, q.wish, q.holder});
  }
  void claim(const model::Identity& peer, const IpAddress& from, const IpAddress& address,
             std::uint64_t holder) override {
    begin();
    pools_.claim(peer, from, address, holder);
  }
  void release(const IpAddress& address, std::uint64_t holder) override {
    begin();
    pools_.release(address, holder);
  }

  // Whether take_changes() has anything; cheap.
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] std::vector<store::LeaseChange> take_changes() {
    changed_ = false;
    std::vector<store::LeaseChange> out;
    for (const auto& address : pools_.take_changes()) {
      const auto lease = pools_.find(address);
      out.push_back(lease ? store::LeaseChange{{address, lease->peer, lease->last_used_s}, false}
                          : store::LeaseChange{{address, {}, 0}, true});
    }
    return out;
  }
  [[nodiscard]] bool forget(const IpAddress& address) {
    begin();
    return pools_.forget(address);
  }

  [[nodiscard]] policy::AddressPools& pools() { return pools_; }
  [[nodiscard]] const policy::AddressPools& pools() const { return pools_; }

 private:
  void begin() {
    changed_ = true;
    pools_.set_wall_clock(static_cast<std::uint64_t>(clock_.wall_seconds()));
  }

  const Clock& clock_;
  bool changed_ = false;
  policy::AddressPools pools_;
};

}  // namespace cygnet::daemon
