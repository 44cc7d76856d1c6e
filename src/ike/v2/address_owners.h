// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the peer of one connection may not tell us in a configuration payload, because it is another connection's or
// would not go through the tunnel.
#include <string>

#include "base/address.h"
#include "ike/v2/world.h"
#include "wire/ike/message.h"

namespace cygnet::ike::v2 {

// Which other connection an address that the peer assigns belongs to, as a person reads it; empty: none. With it we
// would take for ourselves what that connection has at that address: its peer, or a host behind it.
[[nodiscard]] std::string other_owner(const World& world, const IkeSa& sa, const IpAddress& assigned);

// Whether questions to a DNS server go through the tunnel that this answer makes, or another of the connection's.
[[nodiscard]] bool is_asked_through_tunnel(const IkeSa& sa, const wire::ike::Payloads& answer, const IpAddress& server);

}  // namespace cygnet::ike::v2
