// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/address.h"
#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sockaddr_in (16 octets) or sockaddr_in6 (28 octets), as Linux lays them out:
//
//   +---------------+---------------+---------------+---------------+
//   |    family (2, host order)     |    port (network order)       |
//   +---------------+---------------+---------------+---------------+
//   |  IPv4: address, 8 zeros       IPv6: flow label, address, scope
//   +---------------+---------------+---------------+---------------
[[nodiscard]] Parsed<Endpoint> parse_socket_address(Reader& reader);
void serialize_socket_address(const Endpoint& endpoint, Writer& writer);
[[nodiscard]] constexpr std::size_t socket_address_octets(Family family) { return family == Family::kV4 ? 16 : 28; }

}  // namespace cygnet::wire::pfkey
