// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/address.h"
#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_x_filter of <linux/pfkeyv2.h>: which SAs a DUMP shall show.
//
//   +---------------+---------------+---------------+---------------+
//   |       sadb_x_filter_len       |      sadb_x_filter_exttype    |
//   +---------------+---------------+---------------+---------------+
//   >  source (16 octets, IPv4 in the first four), destination      <
//   +---------------+---------------+---------------+---------------+
//   |   sadb_x_filter_family        |    ..._splen  |   ..._dplen   |
//   +---------------+---------------+---------------+---------------+
struct FilterExtension {
  IpPrefix source;  // length 0: any
  IpPrefix destination;

  [[nodiscard]] static Parsed<FilterExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  [[nodiscard]] bool passes(const IpAddress& from, const IpAddress& to) const {
    return source.contains(from) && destination.contains(to);
  }
  bool operator==(const FilterExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
