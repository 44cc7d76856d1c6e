// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_key, RFC 2367 section 2.3.4, and the key, padded to a multiple of eight octets:
//
//   +---------------+---------------+---------------+---------------+
//   |          sadb_key_len         |        sadb_key_exttype       |
//   +---------------+---------------+---------------+---------------+
//   |         sadb_key_bits         |       sadb_key_reserved       |
//   +---------------+---------------+---------------+---------------+
//   >                            key ...                            <
//   +---------------+---------------+---------------+---------------+
//
// An AEAD's salt stands behind its key and counts among the bits, as in Linux.
struct KeyExtension {
  std::uint16_t bits = 0;
  SecretBytes key;

  [[nodiscard]] static Parsed<KeyExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const KeyExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
