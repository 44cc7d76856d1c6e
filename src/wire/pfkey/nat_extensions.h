// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_x_nat_t_type of <linux/pfkeyv2.h>:
//
//   +---------------+---------------+---------------+---------------+
//   |      sadb_x_nat_t_type_len    |   sadb_x_nat_t_type_exttype   |
//   +---------------+---------------+---------------+---------------+
//   |  ..._type     |                   reserved                    |
//   +---------------+---------------+---------------+---------------+
struct NatTypeExtension {
  static constexpr std::uint8_t kUdpEncapsulation = 2;  // UDP_ENCAP_ESPINUDP: RFC 3948
  std::uint8_t type = 0;                                // 0: none

  [[nodiscard]] static Parsed<NatTypeExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const NatTypeExtension&) const = default;
};

// struct sadb_x_nat_t_port:
//
//   +---------------+---------------+---------------+---------------+
//   |      sadb_x_nat_t_port_len    |   sadb_x_nat_t_port_exttype   |
//   +---------------+---------------+---------------+---------------+
//   |   ..._port (network order)    |           reserved            |
//   +---------------+---------------+---------------+---------------+
struct NatPortExtension {
  std::uint16_t port = 0;

  [[nodiscard]] static Parsed<NatPortExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const NatPortExtension&) const = default;
};

// KAME's struct sadb_x_nat_t_frag: packets are cut to this before they are sealed. Laid out as a port, in host order.
struct NatFragmentExtension {
  std::uint16_t octets = 0;

  [[nodiscard]] static Parsed<NatFragmentExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const NatFragmentExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
