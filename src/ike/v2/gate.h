// SPDX-License-Identifier: Apache-2.0
#pragma once

// The gate in front of IKE_SA_INIT: what a newcomer must bring before anything is read, computed or kept for it. Step
// by step, as the half-open IKE SAs grow in number: nothing, a cookie (RFC 7296 section 2.6), a solved puzzle (RFC
// 8019); and beyond the limits, in total and for one address or network, nobody gets in.
#include "ike/v2/world.h"
#include "wire/ike/header.h"

namespace cygnet::ike::v2 {

// An IKE_SA_INIT request. False: it has been answered, or dropped and counted. Costs no memory, and no search.
[[nodiscard]] bool admit(World& world, const Path& path, const wire::ike::Header& header, ByteView datagram);

// A responder's IKE SA, from its IKE_SA_INIT request to the end of IKE_AUTH.
void enter_half_open(World& world, const IkeSa& sa);
void leave_half_open(World& world, const IkeSa& sa);

}  // namespace cygnet::ike::v2
