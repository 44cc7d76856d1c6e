// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses that a gateway hands to its peers (RFC 7296 sections 2.19 and 3.15), as configured.
#include <string>
#include <string_view>

#include "base/address.h"

namespace cygnet::model {

struct AddressPool {
  // One family. What nobody may have (network, broadcast) is left out already.
  IpRange range;
  std::string text;  // as written

  [[nodiscard]] Family family() const { return range.first.family(); }
  [[nodiscard]] bool is_single() const { return range.first == range.last; }
  bool operator==(const AddressPool&) const = default;
};

// What of a prefix can be given away: without network and broadcast address (IPv4), without the subnet-router anycast
// address (IPv6, RFC 4291 section 2.6.1). A single address is itself.
[[nodiscard]] IpRange usable_range(const IpPrefix& prefix);
// Some clients cannot set an address whose text ends in "::": its last 32 bits are zero.
[[nodiscard]] bool ends_in_zeros(const IpAddress& address);
// Can a machine have it as its own, beside others? Neither unspecified, loopback, link-local, multicast nor broadcast.
[[nodiscard]] bool is_assignable(const IpAddress& address);
// A name of DNS in letters, digits, '-', '_' and '.': what may be written into a resolver's configuration.
[[nodiscard]] bool is_domain_name(std::string_view text);

}  // namespace cygnet::model
