// SPDX-License-Identifier: Apache-2.0
#pragma once

// ike asks for addresses, policy has them.
#include "ike/address_source.h"
#include "policy/address_pools.h"

namespace cygnet::daemon {

class PoolSource final : public ike::AddressSource {
 public:
  [[nodiscard]] Result<IpAddress> assign(const Question& q) override {
    return pools_.assign({q.connection.remote.pools, q.peer, q.from, q.family, q.wish, q.holder});
  }
  void claim(const model::Identity& peer, const IpAddress& from, const IpAddress& address,
             std::uint64_t holder) override {
    pools_.claim(peer, from, address, holder);
  }
  void release(const IpAddress& address, std::uint64_t holder) override { pools_.release(address, holder); }

  [[nodiscard]] policy::AddressPools& pools() { return pools_; }
  [[nodiscard]] const policy::AddressPools& pools() const { return pools_; }

 private:
  policy::AddressPools pools_;
};

}  // namespace cygnet::daemon
