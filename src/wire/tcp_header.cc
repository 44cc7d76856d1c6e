// SPDX-License-Identifier: Apache-2.0
#include "wire/tcp_header.h"

#include "wire/ip_checksum.h"

namespace cygnet::wire {
namespace {

constexpr std::uint8_t kOptionEnd = 0;
constexpr std::uint8_t kOptionNop = 1;
constexpr std::uint8_t kOptionMss = 2;

// A 16-bit value may begin at an odd offset: then its octets belong to two different checksum words.
void replace_u16(MutableByteView segment, std::size_t offset, std::uint16_t value) noexcept {
  auto* checksum = segment.data() + kTcpChecksumOffset;
  const std::size_t first_word = offset & ~std::size_t{1};
  const std::size_t words = (offset & 1U) != 0 ? 2 : 1;
  std::array<std::uint16_t, 2> before{};
  for (std::size_t i = 0; i < words; ++i) before[i] = load_be16(segment.data() + first_word + 2 * i);
  store_be16(segment.data() + offset, value);
  std::uint16_t sum = load_be16(checksum);
  for (std::size_t i = 0; i < words; ++i) {
    sum = checksum_update(sum, before[i], load_be16(segment.data() + first_word + 2 * i));
  }
  store_be16(checksum, sum);
}

}  // namespace

std::optional<std::size_t> tcp_header_octets(ByteView segment) noexcept {
  if (segment.size() < kTcpHeaderOctets) return std::nullopt;
  const std::size_t octets = static_cast<std::size_t>(segment[12] >> 4U) * 4U;
  if (octets < kTcpHeaderOctets || octets > segment.size()) return std::nullopt;
  return octets;
}

bool clamp_tcp_mss(MutableByteView segment, std::uint16_t max_mss) noexcept {
  const auto header = tcp_header_octets(segment);
  if (!header || (tcp_flags(segment.data()) & tcp_flag::kSyn) == 0) return false;
  std::size_t at = kTcpHeaderOctets;
  while (at < *header) {
    const std::uint8_t kind = segment[at];
    if (kind == kOptionEnd) return false;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    if (at + 1 >= *header) return false;
    const std::size_t octets = segment[at + 1];
    if (octets < 2 || at + octets > *header) return false;
    if (kind == kOptionMss && octets == 4) {
      if (load_be16(segment.data() + at + 2) <= max_mss) return false;
      // An MSS value at an odd offset at the very end still has its neighbours: the header is a multiple of four.
      replace_u16(segment, at + 2, max_mss);
      return true;
    }
    at += octets;
  }
  return false;
}

}  // namespace cygnet::wire
