// SPDX-License-Identifier: Apache-2.0
#pragma once

// AH (RFC 4302 section 2).
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +---------------+---------------+-------------------------------+
// | Next Header   |  Payload Len  |          RESERVED             |
// +---------------+---------------+-------------------------------+
// |                 Security Parameters Index (SPI)               |
// +---------------------------------------------------------------+
// |                    Sequence Number Field                      |
// +---------------------------------------------------------------+
// |                Integrity Check Value-ICV (variable)           |
// +---------------------------------------------------------------+
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/strong.h"

namespace cygnet::wire {

inline constexpr std::size_t kAhFixedOctets = 12;
// What may stand in front of AH here: an IPv4 header with all options, or IPv6's with some hundred octets of
// extensions.
inline constexpr std::size_t kMaxAhFrontOctets = 512;

// RFC 4302 section 2.6: "This field is a multiple of 32 bits in length for IPv4 or 64 bits for IPv6", padding included.
[[nodiscard]] constexpr std::size_t ah_octets(std::size_t icv_octets, Family family) noexcept {
  const std::size_t unit = family == Family::kV4 ? 4 : 8;
  return (kAhFixedOctets + icv_octets + unit - 1) / unit * unit;
}
// RFC 4302 section 2.2: "the length of this header in 32-bit words (4-byte units), minus 2".
[[nodiscard]] constexpr std::size_t ah_octets_of(std::uint8_t payload_len) noexcept {
  return (static_cast<std::size_t>(payload_len) + 2) * 4;
}
[[nodiscard]] inline Spi ah_spi(const std::uint8_t* ah) noexcept { return Spi{load_be32(ah + 4)}; }
[[nodiscard]] inline std::uint32_t ah_sequence_low(const std::uint8_t* ah) noexcept { return load_be32(ah + 8); }
// The whole header with an ICV of zeros.
void write_ah_header(std::uint8_t* ah, std::size_t octets, std::uint8_t next_header, Spi spi,
                     std::uint64_t sequence) noexcept;

// Where AH stands in a packet whose IP header is sound. Nothing: there is none in front of the upper layer, or its own
// length leads out of the packet.
[[nodiscard]] std::optional<std::size_t> find_ah(ByteView packet) noexcept;
// Where AH goes in transport mode (RFC 4302 section 3.1.1): behind IPv4's options; behind IPv6's hop-by-hop and routing
// headers and the destination options in front of a routing header. Nothing: too many headers.
struct AhPlace {
  std::size_t offset = 0;
  std::size_t next_header_at = 0;  // the octet that names what follows there, to become kAh
};
[[nodiscard]] std::optional<AhPlace> ah_place(ByteView packet) noexcept;

// The headers in front of AH as they enter the ICV (RFC 4302 section 3.3.3.1 and appendix A): mutable fields zero,
// those that can be foretold as they arrive. In place, on a copy. False: something stands there that cannot be
// authenticated.
enum class AhEnd : std::uint8_t { kSender, kReceiver };
[[nodiscard]] bool mask_mutable_fields(MutableByteView headers, AhEnd end) noexcept;

}  // namespace cygnet::wire
