// SPDX-License-Identifier: Apache-2.0
#pragma once

// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
#include <cstdint>

#include "base/bytes.h"

namespace cygnet::wire {

// Sums 16-bit big-endian words; an odd last octet counts as the high one. Fold at the end.
// Partial sums may be added as long as every piece but the last has an even number of octets.
[[nodiscard]] std::uint64_t checksum_add(std::uint64_t sum, ByteView bytes) noexcept;
// Copies and sums in one pass.
[[nodiscard]] std::uint64_t checksum_copy(std::uint64_t sum, std::uint8_t* to, ByteView from) noexcept;
// The 16-bit one's complement sum, not complemented.
[[nodiscard]] std::uint16_t checksum_fold(std::uint64_t sum) noexcept;
// The checksum of a whole piece, as it is stored. Over a piece that contains a right checksum it is 0.
[[nodiscard]] inline std::uint16_t internet_checksum(ByteView bytes) noexcept {
  return static_cast<std::uint16_t>(~checksum_fold(checksum_add(0, bytes)));
}
// RFC 1624 equation 3: a stored checksum after one 16-bit word changed.
[[nodiscard]] std::uint16_t checksum_update(std::uint16_t checksum, std::uint16_t old_word,
                                            std::uint16_t new_word) noexcept;
// Pseudo-header of TCP and UDP (RFC 9293 section 3.1, RFC 8200 section 8.1). Addresses of equal length, 4 or 16.
[[nodiscard]] std::uint64_t pseudo_header_sum(ByteView source, ByteView destination, std::uint8_t protocol,
                                              std::uint32_t transport_octets) noexcept;

}  // namespace cygnet::wire
