// SPDX-License-Identifier: Apache-2.0
#pragma once

// X25519 (RFC 7748 section 5) of up to eight handshakes side by side, on processors with AVX-512 IFMA: eight take as
// long as two one after the other. A gateway that sets thousands of tunnels up spends most of its time here.
#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace cygnet::crypto {

inline constexpr std::size_t kX25519Lanes = 8;
inline constexpr std::size_t kX25519LanesWorthwhile = 3;  // fewer are faster one after the other

// result = X25519(scalar, point). The scalar is clamped there; the point is taken modulo the field, its highest bit
// ignored. A point of small order gives zeros: it is for the caller to refuse that (section 6.1).
struct X25519Product {
  using Octets = std::array<std::uint8_t, 32>;
  Octets scalar{}, point{}, result{};

  static constexpr Octets kBase{9};  // whose products are public values

  X25519Product() = default;
  ~X25519Product() {
    wipe(scalar);
    wipe(result);
  }
  X25519Product(const X25519Product&) = default;
  X25519Product& operator=(const X25519Product&) = default;
};

// Whether this processor can; x25519_in_lanes() must not be called where it cannot.
[[nodiscard]] bool x25519_lanes_available();
void x25519_in_lanes(std::span<X25519Product> products);

}  // namespace cygnet::crypto
