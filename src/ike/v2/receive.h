// SPDX-License-Identifier: Apache-2.0
#pragma once

// A datagram on its way in: header, IKE SA, protection, message ID, transition table.
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

void receive(World& world, const Path& path, ByteView datagram);
void finish_job(World& world, const JobResult& result);
void finish_puzzle(World& world, const PuzzleResult& result);
void finish_auth(World& world, const auth::AuthResult& result);
// Results that needed nobody else (World::auth_done).
void finish_auth_here(World& world);
// The peer is reached elsewhere from now on, with all its children.
void move_peer(World& world, IkeSa& sa, const Path& path);

}  // namespace cygnet::ike::v2
