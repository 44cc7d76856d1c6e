// SPDX-License-Identifier: Apache-2.0
#pragma once

// Puzzle Solution payload (RFC 8019 section 8.2), and the data of a PUZZLE notification (section 8.1).
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "model/transform.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct PuzzleSolutionPayload {
  Bytes keys;  // four keys of equal size, one behind the other
  bool operator==(const PuzzleSolutionPayload&) const = default;
};

[[nodiscard]] ParseResult<PuzzleSolutionPayload> parse_puzzle_solution(ByteView body);
void serialize(const PuzzleSolutionPayload& payload, ByteWriter& out);

// What a PUZZLE notification asks for.
struct PuzzleDemand {
  model::PrfId prf{};
  std::uint8_t difficulty = 0;  // zero bits at the end of each result; 0: as many as the initiator likes
  bool operator==(const PuzzleDemand&) const = default;
};
[[nodiscard]] std::optional<PuzzleDemand> parse_puzzle_demand(ByteView notify_data);
[[nodiscard]] Bytes serialize_puzzle_demand(const PuzzleDemand& demand);

}  // namespace cygnet::wire::ike
