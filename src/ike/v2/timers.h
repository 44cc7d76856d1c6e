// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an IKE SA waits for, and what happens when the time has come.
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

[[nodiscard]] Instant next_due(const IkeSa& sa);
// Does everything that is due.
void on_sa_timer(World& world, IkeSa& sa);
// The peer showed that it lives.
void note_life(World& world, IkeSa& sa, Instant when);
// The data plane says when a child was last used.
void note_usage(World& world, IkeSa& sa, model::ChildId id, Instant last_inbound, Instant last_outbound);
// Asks the peer for a sign of life now, unless a request is on its way anyway.
void check_liveness(World& world, IkeSa& sa);
// The child goes here at once, and the peer is told; it comes back if the configuration says so.
void close_child(World& world, IkeSa& sa, const ChildSa& child, const std::string& reason);
// The data plane says that a child nears its end, or (hard) is over.
void on_child_expiring(World& world, IkeSa& sa, model::ChildId id, bool hard);
// The data plane does not take it.
void on_child_refused(World& world, IkeSa& sa, model::ChildId id, const std::string& why);
// Plans rekey and end of a fresh IKE SA.
void plan_lifetime(World& world, IkeSa& sa);

}  // namespace cygnet::ike::v2
