// SPDX-License-Identifier: Apache-2.0
#include "wire/ip_checksum.h"

#include <bit>
#include <cstring>

namespace cygnet::wire {
namespace {

// One's complement sums do not care about byte order (RFC 1071 section 2 B): the loops add words as they lie in memory,
// and the result is swapped once.
[[nodiscard]] std::uint64_t fold_to_16(std::uint64_t sum) noexcept {
  sum = (sum & 0xffffffffU) + (sum >> 32U);
  sum = (sum & 0xffffU) + ((sum >> 16U) & 0xffffU) + (sum >> 32U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  return (sum & 0xffffU) + (sum >> 16U);
}

[[nodiscard]] std::uint64_t to_big_endian(std::uint64_t folded) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    return static_cast<std::uint16_t>((folded << 8U) | (folded >> 8U));
  }
  return folded;
}

template <bool kCopy>
std::uint64_t sum_native(const std::uint8_t* p, std::size_t n, std::uint8_t* to) noexcept {
  // Four independent lanes of 32-bit words in 64-bit sums: room for 2^32 words, and the compiler may vectorize.
  std::uint64_t lane[4] = {0, 0, 0, 0};
  while (n >= 32) {
    std::uint64_t word[4];
    std::memcpy(word, p, 32);
    if constexpr (kCopy) {
      std::memcpy(to, word, 32);
      to += 32;
    }
    for (int i = 0; i < 4; ++i) lane[i] += (word[i] & 0xffffffffU) + (word[i] >> 32U);
    p += 32;
    n -= 32;
  }
  std::uint64_t sum = (lane[0] + lane[1]) + (lane[2] + lane[3]);
  while (n >= 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, p, 2);
    if constexpr (kCopy) {
      std::memcpy(to, &word, 2);
      to += 2;
    }
    sum += word;
    p += 2;
    n -= 2;
  }
  if (n == 1) {
    if constexpr (kCopy) *to = *p;
    const std::uint8_t last[2] = {*p, 0};
    std::uint16_t word = 0;
    std::memcpy(&word, last, 2);
    sum += word;
  }
  return sum;
}

}  // namespace

std::uint64_t checksum_add(std::uint64_t sum, ByteView bytes) noexcept {
  return sum + to_big_endian(fold_to_16(sum_native<false>(bytes.data(), bytes.size(), nullptr)));
}

std::uint64_t checksum_copy(std::uint64_t sum, std::uint8_t* to, ByteView from) noexcept {
  return sum + to_big_endian(fold_to_16(sum_native<true>(from.data(), from.size(), to)));
}

std::uint16_t checksum_fold(std::uint64_t sum) noexcept { return static_cast<std::uint16_t>(fold_to_16(sum)); }

std::uint16_t checksum_update(std::uint16_t checksum, std::uint16_t old_word, std::uint16_t new_word) noexcept {
  // HC' = ~(~HC + ~m + m')
  const std::uint64_t sum = static_cast<std::uint64_t>(static_cast<std::uint16_t>(~checksum)) +
                            static_cast<std::uint16_t>(~old_word) + new_word;
  return static_cast<std::uint16_t>(~checksum_fold(sum));
}

std::uint64_t pseudo_header_sum(ByteView source, ByteView destination, std::uint8_t protocol,
                                std::uint32_t transport_octets) noexcept {
  std::uint64_t sum = checksum_add(0, source);
  sum = checksum_add(sum, destination);
  return sum + protocol + (transport_octets >> 16U) + (transport_octets & 0xffffU);
}

}  // namespace cygnet::wire
