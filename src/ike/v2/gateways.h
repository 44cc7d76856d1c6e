// SPDX-License-Identifier: Apache-2.0
#pragma once

// right=a,b: one peer at several addresses, in order of preference. Who does not answer makes room for the next; from
// an alternative the way leads back to the first once it answers again. Addresses of one name are one place: nobody
// prefers one of them, and what stands behind the first of them was found, and not written.
#include <vector>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Those that are known, in order.
[[nodiscard]] std::vector<IpAddress> gateways_of(const model::Connection& connection);
// Where the next IKE SA of ours goes to. The connection can be initiated.
// What was written of the peer's addresses alone.
[[nodiscard]] std::vector<model::HostSpec> written_alternatives(const model::End& peer);
[[nodiscard]] IpAddress gateway_of(const World& world, const model::Connection& connection);
// An IKE SA of ours ended unwanted: the next address's turn. What is to be tried there at once, and has not failed yet.
[[nodiscard]] std::vector<ChildWant> leave_gateway(World& world, IkeSa& sa, bool was_up);
// An IKE SA of ours is up.
void arrive_at_gateway(World& world, IkeSa& sa);
// The IKE SA was adopted from a process that died: whoever it is with is the address in use.
void find_gateway_again(World& world, const IkeSa& sa);
// Time to look whether the first one answers again.
void try_first_gateway(World& world, IkeSa& sa);

}  // namespace cygnet::ike::v2
