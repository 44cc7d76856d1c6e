// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses for the peers of a side, from its connections' pools.
#include "ike/address_source.h"
#include "policy/address_pools.h"

namespace cygnet::test {

struct PoolSource final : ike::AddressSource {
  Result<IpAddress> assign(const Question& q) override {
    return pools.assign({q.connection.remote.pools, q.peer, q.from, q.family, q.wish, q.holder});
  }
  void claim(const model::Identity& peer, const IpAddress& from, const IpAddress& address,
             std::uint64_t holder) override {
    pools.claim(peer, from, address, holder);
  }
  void release(const IpAddress& address, std::uint64_t holder) override { pools.release(address, holder); }

  policy::AddressPools pools;
};

}  // namespace cygnet::test
