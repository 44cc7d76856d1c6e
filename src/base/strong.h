// SPDX-License-Identifier: Apache-2.0
#pragma once

// Numbers that must not be mixed up get a type each.
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace cygnet {

template <typename Tag, typename T>
struct Strong {
  using value_type = T;
  T value{};
  constexpr Strong() = default;
  constexpr explicit Strong(T v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
  [[nodiscard]] constexpr bool is_zero() const { return value == 0; }
};

// Security Parameters Index of an ESP or AH SA, host byte order (RFC 4303 section 2.1).
using Spi = Strong<struct SpiTag, std::uint32_t>;
// Eight-octet SPI of an IKE SA, as loaded big-endian (RFC 7296 section 3.1).
using IkeSpi = Strong<struct IkeSpiTag, std::uint64_t>;
// Message ID of an IKE exchange (RFC 7296 section 2.2).
using MessageId = Strong<struct MessageIdTag, std::uint32_t>;
// ESP sequence number, always the full 64 bits of an ESN (RFC 4303 section 2.2.1).
using SeqNo = Strong<struct SeqNoTag, std::uint64_t>;

}  // namespace cygnet

template <typename Tag, typename T>
struct std::hash<cygnet::Strong<Tag, T>> {
  std::size_t operator()(const cygnet::Strong<Tag, T>& s) const noexcept { return std::hash<T>{}(s.value); }
};
