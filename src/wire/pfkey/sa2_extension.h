// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_x_sa2 of <linux/pfkeyv2.h>:
//
//   +---------------+---------------+---------------+---------------+
//   |        sadb_x_sa2_len         |       sadb_x_sa2_exttype      |
//   +---------------+---------------+---------------+---------------+
//   |sadb_x_sa2_mode|   reserved    |           reserved            |
//   +---------------+---------------+---------------+---------------+
//   |                      sadb_x_sa2_sequence                      |
//   |                       sadb_x_sa2_reqid                        |
//   +---------------+---------------+---------------+---------------+
struct Sa2Extension {
  Mode mode = Mode::kAny;
  std::uint32_t sequence = 0;  // the last one used or seen
  std::uint32_t reqid = 0;

  [[nodiscard]] static Parsed<Sa2Extension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const Sa2Extension&) const = default;
};

}  // namespace cygnet::wire::pfkey
