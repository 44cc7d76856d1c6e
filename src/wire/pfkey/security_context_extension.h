// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_x_sec_ctx of <linux/pfkeyv2.h>:
//
//   +---------------+---------------+---------------+---------------+
//   |      sadb_x_sec_len           |     sadb_x_sec_exttype        |
//   +---------------+---------------+---------------+---------------+
//   | ..._ctx_alg   |  ..._ctx_doi  | ..._ctx_len (octets)          |
//   +---------------+---------------+---------------+---------------+
//   >                    label, NUL-terminated ...                  <
//   +---------------+---------------+---------------+---------------+
struct SecurityContextExtension {
  std::uint8_t algorithm = 0;  // 1: SELinux
  std::uint8_t domain = 0;
  Bytes label;

  [[nodiscard]] static Parsed<SecurityContextExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const SecurityContextExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
