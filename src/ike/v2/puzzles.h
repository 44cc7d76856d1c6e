// SPDX-License-Identifier: Apache-2.0
#pragma once

// Puzzles of an IKE SA that is being made (RFC 8019 section 7). Those of IKE_SA_INIT are asked for at the gate
// (gate.h), without any state; here is how an initiator solves them, and the puzzles of IKE_AUTH (section 7.2): where
// many begin an IKE SA and few go on with anything that can be decrypted, the responder computes a shared secret only
// for those who have done some more work.
#include <string>

#include "ike/v2/transitions.h"
#include "wire/ike/puzzle_payload.h"

namespace cygnet::ike::v2 {

// ---- initiator
// May the puzzle be solved: with a PRF that we offered, and no harder than hardest-puzzle= allows?
[[nodiscard]] bool is_fair(const World& world, const IkeSa& sa, const wire::ike::PuzzleDemand& puzzle);
// A puzzle that an IKE_SA_INIT response asks for goes into the handshake. Not empty: why it cannot be solved.
[[nodiscard]] std::string read_auth_puzzle(const World& world, IkeSa& sa, const wire::ike::Payloads& payloads);
// Zero bits that a solution is to have. RFC 8019 section 8.1: with difficulty 0 the initiator chooses.
[[nodiscard]] unsigned bits_wanted(const wire::ike::PuzzleDemand& puzzle);
// Orders the solution of the puzzle in the handshake.
void order_auth_puzzle(World& world, IkeSa& sa);

// ---- responder
// The request came with the solution of a puzzle of ours, which from now on counts as spent.
[[nodiscard]] bool has_paid(World& world, const Turn& turn);
// Is its peer to solve one before IKE_AUTH?
[[nodiscard]] bool wants_auth_puzzle(World& world);
// A message for an IKE SA whose peer was asked for a solution. False: it is dropped, and counted. True: the shared
// secret is being computed, and the message waits for it.
[[nodiscard]] bool take_solution(World& world, IkeSa& sa, const Path& path, const wire::ike::Message& message);
// The half-open IKE SA turned out to be somebody's who has its keys, or not: the first word counts.
void judge_newcomer(World& world, const IkeSa& sa, bool genuine);

}  // namespace cygnet::ike::v2
