// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/strong.h"
#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_sa, RFC 2367 section 2.3.1:
//
//   +---------------+---------------+---------------+---------------+
//   |          sadb_sa_len          |        sadb_sa_exttype        |
//   +---------------+---------------+---------------+---------------+
//   |                 sadb_sa_spi (network order)                   |
//   +---------------+---------------+---------------+---------------+
//   | sadb_sa_replay| sadb_sa_state |  sadb_sa_auth |..._sa_encrypt |
//   +---------------+---------------+---------------+---------------+
//   |                         sadb_sa_flags                         |
//   +---------------+---------------+---------------+---------------+
struct SaExtension {
  Spi spi;
  std::uint8_t replay = 0;  // RFC 2367: of the window, in packets
  SaState state = SaState::kLarval;
  AuthAlgorithm auth{};
  EncryptAlgorithm encrypt{};
  std::uint32_t flags = 0;

  // body: behind length and type, as in all extensions here.
  [[nodiscard]] static Parsed<SaExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const SaExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
