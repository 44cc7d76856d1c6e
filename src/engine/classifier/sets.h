// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the words of the tries refer to; shared by the classifier's writer and its lookup.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "engine/classifier/classifier.h"

namespace cygnet::engine::classifier {

// A word: bits 0 to 1 what it is, bits 6 to 47 where, bits 48 to 63 the best rank there, coarsely. 0: nothing.
enum class Kind : std::uint8_t { kRule = 0, kSet = 1 };

// Sixteen bits that order ranks as well as they can: never wrong, sometimes equal. The order of a policy is in the
// upper half of its rank; the first few thousand orders are told apart.
[[nodiscard]] inline std::uint64_t coarse(std::uint64_t rank) {
  const auto order = static_cast<std::uint32_t>(rank >> 32U);
  constexpr unsigned kMantissa = 11;
  if (order < (1U << kMantissa)) return order;
  const auto exponent = static_cast<unsigned>(std::bit_width(order)) - kMantissa - 1;  // 0 to 20
  return (std::uint64_t{exponent + 1} << kMantissa) | ((order >> exponent) & ((1U << kMantissa) - 1));
}
[[nodiscard]] inline std::uint64_t coarse_of(std::uint64_t word) { return word >> 48U; }
[[nodiscard]] inline Kind kind_of(std::uint64_t word) { return static_cast<Kind>(word & 3U); }
template <typename T>
[[nodiscard]] T* target_of(std::uint64_t word) {
  return reinterpret_cast<T*>(word & kAddressMask);
}
[[nodiscard]] inline std::uint64_t word_of(const void* target, Kind kind, std::uint64_t best) {
  return reinterpret_cast<std::uint64_t>(target) | static_cast<std::uint64_t>(kind) | (best << 48U);
}
template <typename V>
[[nodiscard]] std::uint64_t word_of(const Rule<V>& rule) {
  return word_of(&rule, Kind::kRule, coarse(rule.rank));
}

// How many bits at the top two keys share, at most kKeyBits - 8.
template <typename Key>
[[nodiscard]] inline unsigned common_bits(Key a, Key b) {
  unsigned common = 0;
  while (common < kKeyBits<Key> - 8 && ((a ^ b) >> (kKeyBits<Key> - 1 - common)) == 0) ++common;
  return common;
}

// Eight bits of a key, those behind the first `skip` ones.
template <typename Key>
[[nodiscard]] inline unsigned window_of(Key key, unsigned skip) {
  return static_cast<unsigned>(key >> (kKeyBits<Key> - 8 - skip)) & 0xffU;
}

// A filter: bits 0 to 1 a dimension of addresses or ports, bits 2 to 8 where its eight bits begin, bits 16 to 63 for
// every 48th of their values whether a rule takes it.
inline constexpr std::uint64_t kNoFilter = ~std::uint64_t{0} << 16U;
[[nodiscard]] inline unsigned filter_bit(unsigned value) { return 16 + ((value * 3) >> 4U); }

template <typename Key>
[[nodiscard]] inline bool filter_takes(std::uint64_t filter, const std::array<Key, kKeys>& keys) {
  const unsigned value = window_of(keys[filter & 3U], static_cast<unsigned>(filter >> 2U) & 127U);
  return ((filter >> filter_bit(value)) & 1U) != 0;
}

class FilterBits {
 public:
  void add(unsigned low, unsigned high) {
    for (unsigned bit = filter_bit(low); bit <= filter_bit(high); ++bit) bits_ |= 1ULL << bit;
  }
  // 64 pairs of values from pair 64 * part on.
  void add_pairs(unsigned part, std::uint64_t pairs) {
    for (unsigned i = 0; i < 8; ++i, pairs >>= 8U) {
      const unsigned first = filter_bit(part * 128 + i * 16);
      bits_ |=
          (((pairs & 0x07U) != 0 ? 1ULL : 0) | ((pairs & 0x38U) != 0 ? 2ULL : 0) | ((pairs & 0xe0U) != 0 ? 4ULL : 0))
          << first;
    }
  }
  [[nodiscard]] std::uint64_t filter(unsigned dim, unsigned skip) const {
    return bits_ | (std::uint64_t{skip} << 2U) | dim;
  }

 private:
  std::uint64_t bits_ = 0;
};

// Of one rule: the last eight bits of what is most certain about it.
template <typename V>
[[nodiscard]] std::uint64_t filter_of_rule(const Rule<V>& rule, unsigned used) {
  using Key = typename V::Key;
  const unsigned agreed = used | (used >> kKeys);  // exact dimensions with the relaxed ones
  unsigned longest = 0;
  std::uint64_t filter = kNoFilter;
  for (unsigned dim = 0; dim < static_cast<unsigned>(Dim::kDevice); ++dim) {
    if ((agreed & (1U << dim)) != 0) continue;
    const auto range = key_range_of(rule, static_cast<Dim>(dim));
    const unsigned certain = common_bits<Key>(range.first, range.last);
    if (certain <= longest) continue;
    longest = certain;
    const unsigned skip = certain > 8 ? certain - 8 : 0;
    FilterBits bits;
    bits.add(window_of(range.first, skip), window_of(range.last, skip));
    filter = bits.filter(dim, skip);
  }
  return filter;
}

// One cache line.
template <typename V>
struct alignas(64) Classifier<V>::Set {
  enum class Form : std::uint8_t { kFew, kIndexed, kPile };
  Form form = Form::kFew;
  std::uint8_t dim = 0;    // kIndexed
  std::uint8_t count = 0;  // kFew
  // The eight bits that are looked at first.
  std::uint8_t window_dim = 0;
  std::uint8_t window_skip = 0;
  // kFew: which of their values each rule takes.
  std::array<std::uint8_t, kFlat> low{}, high{};
  // kFew: words of rules by rank, never changed once published. kIndexed: [0] and [1] a bit for each pair of values of
  // the eight bits that some rule takes, [2] to [5] the root of the trie. kPile: [0] the Pile.
  std::array<std::uint64_t, 6> word{};

  // kIndexed. TrieWriter puts a copy of the set in this one's place whenever there is another root.
  [[nodiscard]] Node& root() { return *reinterpret_cast<Node*>(&word[2]); }
  [[nodiscard]] const Node& root() const { return *reinterpret_cast<const Node*>(&word[2]); }
  // kPile.
  [[nodiscard]] Pile& pile() const { return *reinterpret_cast<Pile*>(word[0]); }

  [[nodiscard]] unsigned window(const std::array<typename V::Key, kKeys>& keys) const {
    return window_of(keys[window_dim], window_skip);
  }
  [[nodiscard]] bool may_take(unsigned value) {
    const auto bits = std::atomic_ref(word[value / 128]).load(std::memory_order_relaxed);
    return ((bits >> (value / 2 % 64)) & 1U) != 0;
  }
  // kIndexed: for a rule that is about to be added.
  void widen(const Rule<V>& rule);
  void widen_to_all() {
    for (std::size_t i = 0; i < 2; ++i) std::atomic_ref(word[i]).store(UINT64_MAX, std::memory_order_relaxed);
  }
  // The eight bits that tell these rules apart best.
  void choose_window(std::span<Rule<V>* const> of);
};

// Rules by rank. Readers follow the links; the map is the writer's.
template <typename V>
struct Classifier<V>::Pile {
  struct Entry {
    const Rule<V>* rule = nullptr;
    std::atomic<Entry*> next{nullptr};
  };
  std::map<std::pair<std::uint64_t, const Rule<V>*>, Entry*> order;
  std::atomic<Entry*> first{nullptr};
};

}  // namespace cygnet::engine::classifier
