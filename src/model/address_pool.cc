// SPDX-License-Identifier: Apache-2.0
#include "model/address_pool.h"

#include <algorithm>

namespace cygnet::model {

IpRange usable_range(const IpPrefix& prefix) {
  IpRange range = IpRange::of(prefix);
  const unsigned host_bits = prefix.address.bits() - prefix.length;
  if (host_bits < 2) return range;  // RFC 3021, RFC 6164: both ends of a link
  range.first = range.first.next().value_or(range.first);
  if (prefix.address.is_v4()) range.last = range.last.previous().value_or(range.last);
  return range;
}

bool ends_in_zeros(const IpAddress& address) {
  if (!address.is_v6()) return false;
  const auto tail = address.bytes().subspan(12);
  return std::all_of(tail.begin(), tail.end(), [](std::uint8_t octet) { return octet == 0; });
}

bool is_assignable(const IpAddress& address) {
  if (address.is_unspecified() || address.is_loopback() || address.is_link_local() || address.is_multicast())
    return false;
  return address != IpAddress::last(address.family()) && !(address.is_v4() && address.bytes()[0] == 0);
}

bool is_domain_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 253) return false;
  std::size_t label = 0;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (plain || (c == '-' && label > 0)) {
      if (++label > 63) return false;
    } else {
      return false;
    }
  }
  return label > 0;
}

}  // namespace cygnet::model
