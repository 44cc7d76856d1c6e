// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/socket_address.h"

namespace cygnet::wire::pfkey {

// struct sadb_address, RFC 2367 section 2.3.3, and a socket address, padded to a multiple of eight octets:
//
//   +---------------+---------------+---------------+---------------+
//   |        sadb_address_len       |      sadb_address_exttype     |
//   +---------------+---------------+---------------+---------------+
//   | _address_proto| ..._prefixlen |     sadb_address_reserved     |
//   +---------------+---------------+---------------+---------------+
//   >                        socket address ...                     <
//   +---------------+---------------+---------------+---------------+
struct AddressExtension {
  std::uint8_t protocol = 0;  // kAnyProtocol in policies
  std::uint8_t prefix_length = 0;
  Endpoint endpoint;

  [[nodiscard]] static Parsed<AddressExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  [[nodiscard]] static AddressExtension host(const IpAddress& address, std::uint16_t port = 0) {
    return {0, static_cast<std::uint8_t>(address.bits()), {address, port}};
  }
  bool operator==(const AddressExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
