// SPDX-License-Identifier: Apache-2.0
#include "ike/puzzle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "crypto/prf.h"

namespace cygnet::ike {
namespace {

constexpr std::size_t kKeys = 4;
constexpr std::size_t kKeyOctets = 8;
constexpr std::uint64_t kPatience = 64;
constexpr std::uint64_t kAskEvery = 4096;

unsigned trailing_zero_bits(ByteView octets) {
  unsigned bits = 0;
  for (std::size_t i = octets.size(); i-- > 0;) {
    if (octets[i] != 0) return bits + static_cast<unsigned>(std::countr_zero(octets[i]));
    bits += 8;
  }
  return bits;
}

bool is_hit(model::PrfId prf, unsigned difficulty, ByteView text, ByteView key) {
  const std::array<ByteView, 1> data{text};
  const auto result = crypto::prf(prf, key, data);
  return !result.empty() && trailing_zero_bits(ByteView(result)) >= difficulty;
}

}  // namespace

Result<Bytes> solve_puzzle(model::PrfId prf, unsigned difficulty, ByteView text, const std::function<bool()>& wanted) {
  if (difficulty > kHardestPuzzle)
    return fail("a puzzle of difficulty " + std::to_string(difficulty) + " is more than we take on");
  Bytes keys;
  const std::uint64_t last = (kPatience * kKeys) << difficulty;
  for (std::uint64_t number = 1; number <= last && keys.size() < kKeys * kKeyOctets; ++number) {
    if (number % kAskEvery == 0 && wanted && !wanted()) return fail("nobody waits for the solution any more");
    std::array<std::uint8_t, kKeyOctets> key{};
    store_be64(key.data(), number);
    if (is_hit(prf, difficulty, text, ByteView(key))) append(keys, ByteView(key));
  }
  if (keys.size() < kKeys * kKeyOctets) return fail("the puzzle has no solution within reach");
  return keys;
}

bool puzzle_is_solved(model::PrfId prf, unsigned difficulty, ByteView text, ByteView keys) {
  // RFC 8019 section 8.2: each key has between one octet and the preferred key length of the PRF.
  const auto octets = keys.size() / kKeys;
  if (octets == 0 || keys.size() % kKeys != 0 || octets > model::key_octets(prf)) return false;
  for (std::size_t i = 0; i < kKeys; ++i) {
    const auto key = keys.subspan(i * octets, octets);
    for (std::size_t j = 0; j < i; ++j) {
      if (std::ranges::equal(key, keys.subspan(j * octets, octets))) return false;  // the same work twice
    }
    if (!is_hit(prf, difficulty, text, key)) return false;
  }
  return true;
}

}  // namespace cygnet::ike
