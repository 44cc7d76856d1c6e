// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/puzzle_payload.h"

#include <string>

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                     Puzzle Solution Data                      ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<PuzzleSolutionPayload> parse_puzzle_solution(ByteView body) {
  // RFC 8019 section 8.2: four keys of the same size, not empty, none longer than the PRF's preferred key length, which
  // is 64 octets at the most here.
  if (body.empty() || body.size() % 4 != 0 || body.size() > 4 * std::size_t{64}) {
    return malformed(
        static_cast<std::uint8_t>(PayloadType::kPuzzleSolution),
        "a puzzle solution of " + std::to_string(body.size()) + " octets (four keys of 1 to 64 are allowed)");
  }
  return PuzzleSolutionPayload{Bytes(body.begin(), body.end())};
}

void serialize(const PuzzleSolutionPayload& payload, ByteWriter& out) { out.bytes(payload.keys); }

// RFC 8019 section 8.1: PRF (2 octets), Difficulty (1 octet).
std::optional<PuzzleDemand> parse_puzzle_demand(ByteView notify_data) {
  if (notify_data.size() != 3) return std::nullopt;
  return PuzzleDemand{static_cast<model::PrfId>(load_be16(notify_data.data())), notify_data[2]};
}

Bytes serialize_puzzle_demand(const PuzzleDemand& demand) {
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(demand.prf)).u8(demand.difficulty);
  return std::move(out).take();
}

}  // namespace cygnet::wire::ike
