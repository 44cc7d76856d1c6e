// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "wire/pfkey/lifetime_extension.h"

namespace cygnet::wire::pfkey {

// struct sadb_prop, RFC 2367 section 2.3.7, and its combinations of 72 octets:
//
//   +---------------+---------------+---------------+---------------+
//   |         sadb_prop_len         |       sadb_prop_exttype       |
//   +---------------+---------------+---------------+---------------+
//   |...prop_replay |           sadb_prop_reserved                  |
//   +---------------+---------------+---------------+---------------+
//   |sadb_comb_auth | ..._encrypt   |        sadb_comb_flags        |   each combination
//   +---------------+---------------+---------------+---------------+
//   |    sadb_comb_auth_minbits     |     sadb_comb_auth_maxbits    |
//   +---------------+---------------+---------------+---------------+
//   |   sadb_comb_encrypt_minbits   |   sadb_comb_encrypt_maxbits   |
//   +---------------+---------------+---------------+---------------+
//   |                       sadb_comb_reserved                      |
//   +---------------+---------------+---------------+---------------+
//   |   soft and hard allocations (32 bits each), then bytes,       |
//   >   add times and use times, soft before hard (64 bits each)    <
//   +---------------+---------------+---------------+---------------+
struct Combination {
  AuthAlgorithm auth{};
  EncryptAlgorithm encrypt{};
  std::uint16_t flags = 0;
  std::uint16_t auth_min_bits = 0, auth_max_bits = 0;
  std::uint16_t encrypt_min_bits = 0, encrypt_max_bits = 0;
  LifetimeExtension soft, hard;
  bool operator==(const Combination&) const = default;
};

struct ProposalExtension {
  std::uint8_t replay = 0;
  std::vector<Combination> combinations;

  [[nodiscard]] static Parsed<ProposalExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const ProposalExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
