// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_spirange, RFC 2367 section 2.3.9. Host order, other than the SPI in an SA extension.
//
//   +---------------+---------------+---------------+---------------+
//   |       sadb_spirange_len       |     sadb_spirange_exttype     |
//   +---------------+---------------+---------------+---------------+
//   |                       sadb_spirange_min                       |
//   |                       sadb_spirange_max                       |
//   |                    sadb_spirange_reserved                     |
//   +---------------+---------------+---------------+---------------+
struct SpiRangeExtension {
  std::uint32_t min = 0;
  std::uint32_t max = 0;

  [[nodiscard]] static Parsed<SpiRangeExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const SpiRangeExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
