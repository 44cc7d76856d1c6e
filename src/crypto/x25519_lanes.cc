// SPDX-License-Identifier: Apache-2.0

// Eight Montgomery ladders (RFC 7748 section 5) in the lanes of AVX-512 registers.
//
// An element of the field of 2^255-19 has five limbs of 51 bits; lane i of each limb belongs to product i. VPMADD52
// multiplies what fits into 52 bits, so limbs are kept below 2^51 + 2^18 ("loose") by carrying once after each
// operation. Nothing branches on, or indexes with, a secret.
#include "crypto/x25519_lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

// On every function here, instead of a compiler option for the file: with one, whatever the headers define inline would
// be built for these processors only.
#define CYGNET_LANES __attribute__((target("avx512f,avx512ifma")))
#define CYGNET_LANES_INLINE __attribute__((target("avx512f,avx512ifma"), always_inline)) inline

namespace cygnet::crypto {
namespace {

constexpr std::size_t kLimbs = 5;
constexpr unsigned kLimbBits = 51;
constexpr std::uint64_t kLimbMask = (1ULL << kLimbBits) - 1;
constexpr unsigned kScalarBits = 255;

// The same limb of all lanes. The compiler knows how to add and shift such vectors.
using Lanes = std::uint64_t __attribute__((vector_size(64)));

struct Element {
  Lanes limb[kLimbs];
};

CYGNET_LANES_INLINE Lanes all_lanes(std::uint64_t value) { return Lanes{} + value; }

// c + the low, or the high, 52 bits of a * b.
CYGNET_LANES_INLINE Lanes add_low(Lanes c, Lanes a, Lanes b) {
  return reinterpret_cast<Lanes>(
      _mm512_madd52lo_epu64(reinterpret_cast<__m512i>(c), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
CYGNET_LANES_INLINE Lanes add_high(Lanes c, Lanes a, Lanes b) {
  return reinterpret_cast<Lanes>(
      _mm512_madd52hi_epu64(reinterpret_cast<__m512i>(c), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
CYGNET_LANES_INLINE Lanes blend(__mmask8 which, Lanes a, Lanes b) {
  return reinterpret_cast<Lanes>(
      _mm512_mask_blend_epi64(which, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

// From limbs below 2^61 to loose ones: 2^255 is 19.
CYGNET_LANES_INLINE void carry(Element& a) {
  Lanes over[kLimbs];
  for (std::size_t i = 0; i < kLimbs; ++i) {
    over[i] = a.limb[i] >> kLimbBits;
    a.limb[i] = a.limb[i] & kLimbMask;
  }
  a.limb[0] = add_low(a.limb[0], over[kLimbs - 1], all_lanes(19));
  for (std::size_t i = 1; i < kLimbs; ++i) a.limb[i] = a.limb[i] + over[i - 1];
}

CYGNET_LANES_INLINE Element add(const Element& a, const Element& b) {
  Element out;
  for (std::size_t i = 0; i < kLimbs; ++i) out.limb[i] = a.limb[i] + b.limb[i];
  carry(out);
  return out;
}

// a + 2p - b: no limb becomes negative, for each of 2p is above each loose one.
CYGNET_LANES_INLINE Element subtract(const Element& a, const Element& b) {
  constexpr std::uint64_t kLow = 2 * (kLimbMask - 18);
  constexpr std::uint64_t kHigh = 2 * kLimbMask;
  Element out;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    out.limb[i] = a.limb[i] + (i == 0 ? kLow : kHigh) - b.limb[i];
  }
  carry(out);
  return out;
}

CYGNET_LANES_INLINE Lanes twice(Lanes a) { return a + a; }

// Columns of a product, low and high halves apart; the high half of a column weighs twice as much as the next one.
CYGNET_LANES_INLINE Element fold(const Lanes (&low)[2 * kLimbs - 1], const Lanes (&high)[2 * kLimbs - 1]) {
  Lanes column[2 * kLimbs];
  column[0] = low[0];
  for (std::size_t i = 1; i < 2 * kLimbs - 1; ++i) column[i] = low[i] + twice(high[i - 1]);
  column[2 * kLimbs - 1] = twice(high[2 * kLimbs - 2]);
  Element out;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const Lanes above = column[i + kLimbs];
    out.limb[i] = column[i] + (above << 4) + twice(above) + above;  // 19 of them
  }
  carry(out);
  return out;
}

CYGNET_LANES_INLINE Element multiply(const Element& a, const Element& b) {
  Lanes low[2 * kLimbs - 1];
  Lanes high[2 * kLimbs - 1];
  for (std::size_t i = 0; i < 2 * kLimbs - 1; ++i) low[i] = high[i] = Lanes{};
  for (std::size_t i = 0; i < kLimbs; ++i) {
    for (std::size_t j = 0; j < kLimbs; ++j) {
      low[i + j] = add_low(low[i + j], a.limb[i], b.limb[j]);
      high[i + j] = add_high(high[i + j], a.limb[i], b.limb[j]);
    }
  }
  return fold(low, high);
}

// Products of different limbs occur twice.
CYGNET_LANES_INLINE Element square(const Element& a) {
  Lanes low[2 * kLimbs - 1];
  Lanes high[2 * kLimbs - 1];
  for (std::size_t i = 0; i < 2 * kLimbs - 1; ++i) low[i] = high[i] = Lanes{};
  for (std::size_t i = 0; i < kLimbs; ++i) {
    for (std::size_t j = i + 1; j < kLimbs; ++j) {
      low[i + j] = add_low(low[i + j], a.limb[i], a.limb[j]);
      high[i + j] = add_high(high[i + j], a.limb[i], a.limb[j]);
    }
  }
  for (std::size_t i = 1; i < 2 * kLimbs - 2; ++i) {
    low[i] = twice(low[i]);
    high[i] = twice(high[i]);
  }
  for (std::size_t i = 0; i < kLimbs; ++i) {
    low[2 * i] = add_low(low[2 * i], a.limb[i], a.limb[i]);
    high[2 * i] = add_high(high[2 * i], a.limb[i], a.limb[i]);
  }
  return fold(low, high);
}

// b + 121665 a
CYGNET_LANES_INLINE Element multiply_a24_and_add(const Element& a, const Element& b) {
  const Lanes factor = all_lanes(121665);
  const Lanes zero = Lanes{};
  Lanes high[kLimbs];
  Element out;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    out.limb[i] = add_low(b.limb[i], a.limb[i], factor);
    high[i] = twice(add_high(zero, a.limb[i], factor));
  }
  out.limb[0] = add_low(out.limb[0], high[kLimbs - 1], all_lanes(19));
  for (std::size_t i = 1; i < kLimbs; ++i) out.limb[i] = out.limb[i] + high[i - 1];
  carry(out);
  return out;
}

CYGNET_LANES_INLINE void swap_lanes(__mmask8 which, Element& a, Element& b) {
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const Lanes kept = a.limb[i];
    a.limb[i] = blend(which, a.limb[i], b.limb[i]);
    b.limb[i] = blend(which, b.limb[i], kept);
  }
}

struct Ladder {
  Element x1, x2, z2, x3, z3;
};

// One turn of the loop of RFC 7748 section 5, in its names.
CYGNET_LANES_INLINE void step(Ladder& l) {
  const Element a = add(l.x2, l.z2);
  const Element b = subtract(l.x2, l.z2);
  const Element da = multiply(subtract(l.x3, l.z3), a);
  const Element cb = multiply(add(l.x3, l.z3), b);
  l.x3 = square(add(da, cb));
  l.z3 = multiply(l.x1, square(subtract(da, cb)));
  const Element aa = square(a);
  const Element bb = square(b);
  const Element e = subtract(aa, bb);
  l.x2 = multiply(aa, bb);
  l.z2 = multiply(e, multiply_a24_and_add(e, aa));
}

CYGNET_LANES Element squared_times(Element a, unsigned times) {
  for (unsigned i = 0; i < times; ++i) a = square(a);
  return a;
}

CYGNET_LANES Element product(const Element& a, const Element& b) { return multiply(a, b); }

// a^(p-2) = a^(2^255-21): the exponent is 250 ones, then 01011.
CYGNET_LANES Element inverse(const Element& a) {
  const Element a2 = square(a);
  const Element a9 = product(squared_times(a2, 2), a);
  const Element a11 = product(a9, a2);
  const Element ones5 = product(square(a11), a9);
  const Element ones10 = product(squared_times(ones5, 5), ones5);
  const Element ones20 = product(squared_times(ones10, 10), ones10);
  const Element ones40 = product(squared_times(ones20, 20), ones20);
  const Element ones50 = product(squared_times(ones40, 10), ones10);
  const Element ones100 = product(squared_times(ones50, 50), ones50);
  const Element ones200 = product(squared_times(ones100, 100), ones100);
  const Element ones250 = product(squared_times(ones200, 50), ones50);
  return product(squared_times(ones250, 5), a11);
}

// ---- between octets and lanes

struct alignas(64) Limbs {
  std::uint64_t of[kLimbs][kX25519Lanes];
};

std::uint64_t load_le64(const std::uint8_t* at) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t out = 0;
  std::memcpy(&out, at, sizeof out);
  return out;
}

void spread(const X25519Product::Octets& octets, std::size_t lane, Limbs& out) {
  std::uint64_t w[4];
  for (std::size_t i = 0; i < 4; ++i) w[i] = load_le64(octets.data() + 8 * i);
  out.of[0][lane] = w[0] & kLimbMask;
  out.of[1][lane] = (w[0] >> 51U | w[1] << 13U) & kLimbMask;
  out.of[2][lane] = (w[1] >> 38U | w[2] << 26U) & kLimbMask;
  out.of[3][lane] = (w[2] >> 25U | w[3] << 39U) & kLimbMask;
  out.of[4][lane] = (w[3] >> 12U) & kLimbMask;  // without the highest bit
}

// The one number below p that a lane stands for, least significant octet first.
void gather(const Limbs& in, std::size_t lane, X25519Product::Octets& out) {
  std::uint64_t t[kLimbs];
  for (std::size_t i = 0; i < kLimbs; ++i) t[i] = in.of[i][lane];
  const auto carry_on = [&t] {
    for (std::size_t i = 0; i + 1 < kLimbs; ++i) {
      t[i + 1] += t[i] >> kLimbBits;
      t[i] &= kLimbMask;
    }
    const std::uint64_t over = t[kLimbs - 1] >> kLimbBits;
    t[kLimbs - 1] &= kLimbMask;
    return over;
  };
  for (int i = 0; i < 3; ++i) t[0] += 19 * carry_on();
  // Now below 2^255, which leaves p to p+18 as the numbers with another form: those overflow when 19 is added.
  std::uint64_t over = (t[0] + 19) >> kLimbBits;
  for (std::size_t i = 1; i < kLimbs; ++i) over = (t[i] + over) >> kLimbBits;
  t[0] += 19 * over;
  (void)carry_on();
  const std::uint64_t w[4] = {t[0] | t[1] << 51U, t[1] >> 13U | t[2] << 38U, t[2] >> 26U | t[3] << 25U,
                              t[3] >> 39U | t[4] << 12U};
  std::memcpy(out.data(), w, sizeof w);
  wipe({reinterpret_cast<std::uint8_t*>(t), sizeof t});
}

CYGNET_LANES_INLINE Element load(const Limbs& from) {
  Element out;
  for (std::size_t i = 0; i < kLimbs; ++i) out.limb[i] = reinterpret_cast<Lanes>(_mm512_load_si512(from.of[i]));
  return out;
}

CYGNET_LANES_INLINE Element number(std::uint64_t value) {
  Element out;
  for (std::size_t i = 0; i < kLimbs; ++i) out.limb[i] = i == 0 ? all_lanes(value) : Lanes{};
  return out;
}

// Bit t of each clamped scalar, as one octet with a bit for each lane.
using Bits = std::array<std::uint8_t, kScalarBits + 1>;
void spread_bits(std::span<const X25519Product> products, Bits& out) {
  for (std::size_t lane = 0; lane < products.size(); ++lane) {
    auto scalar = products[lane].scalar;
    // "set the three least significant bits of the first byte and the most significant bit of the last to zero, set the
    // second most significant bit of the last byte to 1" (RFC 7748 section 5).
    scalar[0] &= 248;
    scalar[31] = static_cast<std::uint8_t>((scalar[31] & 127) | 64);
    for (std::size_t t = 0; t < kScalarBits; ++t) {
      out[t] = static_cast<std::uint8_t>(out[t] | ((scalar[t / 8] >> (t % 8)) & 1U) << lane);
    }
    wipe(scalar);
  }
}

CYGNET_LANES void run(const Bits& bits, Limbs& limbs) {
  Ladder l{load(limbs), number(1), number(0), load(limbs), number(1)};
  for (std::size_t t = kScalarBits; t-- > 0;) {
    // The highest bit of `bits` is none of a scalar: nothing is swapped yet.
    const auto swap = static_cast<__mmask8>(bits[t] ^ bits[t + 1]);
    swap_lanes(swap, l.x2, l.x3);
    swap_lanes(swap, l.z2, l.z3);
    step(l);
  }
  swap_lanes(bits[0], l.x2, l.x3);
  swap_lanes(bits[0], l.z2, l.z3);
  const Element result = product(l.x2, inverse(l.z2));
  for (std::size_t i = 0; i < kLimbs; ++i) _mm512_store_si512(limbs.of[i], reinterpret_cast<__m512i>(result.limb[i]));
  wipe({reinterpret_cast<std::uint8_t*>(&l), sizeof l});
}

}  // namespace

bool x25519_lanes_available() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512ifma") != 0;
}

void x25519_in_lanes(std::span<X25519Product> products) {
  while (!products.empty()) {
    const auto some = products.first(std::min(products.size(), kX25519Lanes));
    Limbs limbs{};
    Bits bits{};
    spread_bits(some, bits);
    for (std::size_t lane = 0; lane < some.size(); ++lane) spread(some[lane].point, lane, limbs);
    run(bits, limbs);
    for (std::size_t lane = 0; lane < some.size(); ++lane) gather(limbs, lane, some[lane].result);
    wipe(bits);
    wipe({reinterpret_cast<std::uint8_t*>(&limbs), sizeof limbs});
    products = products.subspan(some.size());
  }
}

}  // namespace cygnet::crypto

#else

namespace cygnet::crypto {

bool x25519_lanes_available() { return false; }
void x25519_in_lanes(std::span<X25519Product> /*products*/) {}

}  // namespace cygnet::crypto

#endif
