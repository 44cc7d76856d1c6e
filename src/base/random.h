// SPDX-License-Identifier: Apache-2.0
#pragma once

// Randomness as protocol code sees it: through this interface alone, so that a simulation replays from its seed.
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace cygnet {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutableByteView out) = 0;

  [[nodiscard]] std::uint32_t u32() {
    std::array<std::uint8_t, 4> b{};
    fill(b);
    return load_be32(b.data());
  }
  [[nodiscard]] std::uint64_t u64() {
    std::array<std::uint8_t, 8> b{};
    fill(b);
    return load_be64(b.data());
  }
  // Uniform in [0, bound); bound 0 gives 0. Slightly biased for huge bounds: for jitter and choices, not for keys.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : u64() % bound; }
  [[nodiscard]] Bytes bytes(std::size_t n) {
    Bytes out(n);
    fill(out);
    return out;
  }
};

// Reproducible stream for tests and simulations (SplitMix64). Never for real keys.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(MutableByteView out) override {
    std::size_t i = 0;
    while (i < out.size()) {
      std::uint64_t word = next();
      for (int k = 0; k < 8 && i < out.size(); ++k, ++i) {
        out[i] = static_cast<std::uint8_t>(word);
        word >>= 8;
      }
    }
  }

 private:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

}  // namespace cygnet
