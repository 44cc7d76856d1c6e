// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_supported, RFC 2367 section 2.3.8, and its algorithms (struct sadb_alg):
//
//   +---------------+---------------+---------------+---------------+
//   |      sadb_supported_len       |     sadb_supported_exttype    |
//   +---------------+---------------+---------------+---------------+
//   |                    sadb_supported_reserved                    |
//   +---------------+---------------+---------------+---------------+
//   |  sadb_alg_id  | sadb_alg_ivlen|       sadb_alg_minbits        |   each algorithm
//   +---------------+---------------+---------------+---------------+
//   |       sadb_alg_maxbits        |       sadb_alg_reserved       |
//   +---------------+---------------+---------------+---------------+
struct SupportedAlgorithm {
  std::uint8_t id = 0;
  std::uint8_t iv_length = 0;  // octets, as Linux says it
  std::uint16_t min_bits = 0, max_bits = 0;
  bool operator==(const SupportedAlgorithm&) const = default;
};

struct SupportedExtension {
  std::vector<SupportedAlgorithm> algorithms;

  [[nodiscard]] static Parsed<SupportedExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const SupportedExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
