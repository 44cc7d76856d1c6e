// SPDX-License-Identifier: Apache-2.0
#pragma once

// Client puzzles (RFC 8019): whoever wants a busy responder's time spends some of its own first. Four different keys
// are to be found under which a PRF over what the responder chose ends with enough zero bits.
#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "model/transform.h"

namespace cygnet::ike {

// The hardest puzzle that a responder asks for: some seconds of one core.
inline constexpr unsigned kHardestDemand = 20;
// The hardest that can be solved here, where hardest-puzzle= allows it: a minute of one core.
inline constexpr unsigned kHardestPuzzle = 24;

// Runs 4 * 2^difficulty PRFs over `text` on average, and no more than 64 times that. Same puzzle, same solution. Asks
// every few milliseconds whether it is still `wanted`.
[[nodiscard]] Result<Bytes> solve_puzzle(model::PrfId prf, unsigned difficulty, ByteView text,
                                         const std::function<bool()>& wanted = {});
// At most four PRFs.
[[nodiscard]] bool puzzle_is_solved(model::PrfId prf, unsigned difficulty, ByteView text, ByteView keys);

}  // namespace cygnet::ike
