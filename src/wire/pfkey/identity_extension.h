// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_ident, RFC 2367 section 2.3.5, and a C string, padded to a multiple of eight octets:
//
//   +---------------+---------------+---------------+---------------+
//   |        sadb_ident_len         |      sadb_ident_exttype       |
//   +---------------+---------------+---------------+---------------+
//   |        sadb_ident_type        |      sadb_ident_reserved      |
//   +---------------+---------------+---------------+---------------+
//   |                    sadb_ident_id (64 bits)                    |
//   +---------------+---------------+---------------+---------------+
//   >                 identity string, NUL ...                      <
//   +---------------+---------------+---------------+---------------+
struct IdentityExtension {
  std::uint16_t type = 0;  // 1 prefix, 2 FQDN, 3 user@FQDN
  std::uint64_t id = 0;
  std::string text;  // empty: no string at all

  [[nodiscard]] static Parsed<IdentityExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const IdentityExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
