// SPDX-License-Identifier: Apache-2.0
#pragma once

// ECN through tunnels (RFC 6040, normal mode).
#include <cstdint>
#include <optional>

namespace cygnet::engine {

enum class Ecn : std::uint8_t { kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3 };  // RFC 3168 section 5

[[nodiscard]] constexpr Ecn ecn_of(std::uint8_t tos) { return static_cast<Ecn>(tos & 3U); }

// The ECN field of the forwarded packet (RFC 6040 section 4.2, figure 4); nothing: drop it.
[[nodiscard]] constexpr std::optional<Ecn> decapsulate_ecn(Ecn inner, Ecn outer) {
  if (outer == Ecn::kCe) {
    // "If the inner ECN field is Not-ECT, the decapsulator MUST NOT propagate any other ECN codepoint onwards. ... If
    // the outer ECN field is CE, the decapsulator MUST drop the packet."
    if (inner == Ecn::kNotEct) return std::nullopt;
    return Ecn::kCe;
  }
  if (outer == Ecn::kEct1 && inner == Ecn::kEct0) return Ecn::kEct1;
  return inner;
}

}  // namespace cygnet::engine
