// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where half-open IKE SAs come from: in total, by address and by network, so that no corner of the Internet takes what
// is there for all (RFC 8019 section 4.2). Holds no more entries than there are half-open IKE SAs, twice.
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "base/address.h"

namespace cygnet::ike::v2 {

class HalfOpen {
 public:
  // How many share the IPv4 address or IPv6 /64, and how many the IPv4 /24 or IPv6 /48. An IPv6 subscriber has a /64 at
  // the least: single addresses mean nothing.
  struct Crowd {
    std::size_t address = 0;
    std::size_t network = 0;
  };

  void enter(const IpAddress& from);
  void leave(const IpAddress& from);
  [[nodiscard]] std::size_t total() const { return total_; }
  [[nodiscard]] Crowd around(const IpAddress& from) const;
  [[nodiscard]] std::size_t entries() const { return counts_.size(); }

 private:
  using Prefix = std::pair<std::uint8_t, std::uint64_t>;  // kind, and the octets that count
  [[nodiscard]] static Prefix address_of(const IpAddress& from);
  [[nodiscard]] static Prefix network_of(const IpAddress& from);
  void drop_one(const Prefix& prefix);

  std::size_t total_ = 0;
  std::map<Prefix, std::uint32_t> counts_;
};

}  // namespace cygnet::ike::v2
