// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_sens, RFC 2367 section 2.3.6, and two bitmaps of 64-bit words:
//
//   +---------------+---------------+---------------+---------------+
//   |         sadb_sens_len         |       sadb_sens_exttype       |
//   +---------------+---------------+---------------+---------------+
//   |                         sadb_sens_dpd                         |
//   +---------------+---------------+---------------+---------------+
//   |  sens_level   |   sens_len    | integ_level   |   integ_len   |
//   +---------------+---------------+---------------+---------------+
//   |                       sadb_sens_reserved                      |
//   +---------------+---------------+---------------+---------------+
//   >           sensitivity bitmap, integrity bitmap ...            <
//   +---------------+---------------+---------------+---------------+
struct SensitivityExtension {
  std::uint32_t domain = 0;
  std::uint8_t sensitivity_level = 0;
  std::uint8_t integrity_level = 0;
  Bytes sensitivity_bitmap;  // whole words
  Bytes integrity_bitmap;

  [[nodiscard]] static Parsed<SensitivityExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const SensitivityExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
