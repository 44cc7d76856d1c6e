// SPDX-License-Identifier: Apache-2.0
#pragma once

// ESP (RFC 4303 section 2).
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +---------------------------------------------------------------+
// |               Security Parameters Index (SPI)                 |
// +---------------------------------------------------------------+
// |                      Sequence Number                          |
// +---------------------------------------------------------------+
// |          IV, then Payload Data (variable)                     |
// +               +-----------------------------------------------+
// |               |     Padding (0-255 octets)                    |
// +---------------+               +---------------+---------------+
// |                               |  Pad Length   | Next Header   |
// +-------------------------------+---------------+---------------+
// |         Integrity Check Value - ICV (variable)                |
// +---------------------------------------------------------------+
#include <cstdint>

#include "base/bytes.h"
#include "base/strong.h"

namespace cygnet::wire {

inline constexpr std::size_t kEspHeaderOctets = 8;
inline constexpr std::size_t kEspSequenceOctets = 4;  // of these
inline constexpr std::size_t kEspTrailerOctets = 2;   // pad length and next header

[[nodiscard]] inline Spi esp_spi(const std::uint8_t* esp) noexcept { return Spi{load_be32(esp)}; }
[[nodiscard]] inline std::uint32_t esp_sequence_low(const std::uint8_t* esp) noexcept { return load_be32(esp + 4); }
inline void write_esp_header(std::uint8_t* esp, Spi spi, std::uint64_t sequence) noexcept {
  store_be32(esp, spi.value);
  store_be32(esp + 4, static_cast<std::uint32_t>(sequence));
}

// RFC 4303 section 2.4: padding so that payload, pad length and next header fill whole blocks (block at least 4).
[[nodiscard]] constexpr std::size_t esp_pad_octets(std::size_t payload_octets, std::size_t block_octets) noexcept {
  const std::size_t used = (payload_octets + kEspTrailerOctets) % block_octets;
  return used == 0 ? 0 : block_octets - used;
}
// Writes padding and trailer behind the payload: "The first padding byte ... is numbered 1, with subsequent padding
// bytes making up a monotonically increasing sequence" (RFC 4303 section 2.4).
inline void write_esp_trailer(std::uint8_t* to, std::size_t pad_octets, std::uint8_t next_header) noexcept {
  for (std::size_t i = 0; i < pad_octets; ++i) to[i] = static_cast<std::uint8_t>(i + 1);
  to[pad_octets] = static_cast<std::uint8_t>(pad_octets);
  to[pad_octets + 1] = next_header;
}

}  // namespace cygnet::wire
