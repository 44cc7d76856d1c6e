// SPDX-License-Identifier: Apache-2.0
#pragma once

// Client puzzles (RFC 8019): whoever wants a busy responder's time spends some of its own first. Four different keys
// are to be found under which a PRF over the responder's cookie ends with enough zero bits.
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "model/transform.h"

namespace cygnet::ike {

// The hardest puzzle an initiator takes: some seconds of one core.
inline constexpr unsigned kHardestPuzzle = 20;

// Runs 4 * 2^difficulty PRFs on average, and no more than 64 times that. Same puzzle, same solution.
[[nodiscard]] Result<Bytes> solve_puzzle(model::PrfId prf, unsigned difficulty, ByteView cookie);
// At most four PRFs.
[[nodiscard]] bool puzzle_is_solved(model::PrfId prf, unsigned difficulty, ByteView cookie, ByteView keys);

}  // namespace cygnet::ike
