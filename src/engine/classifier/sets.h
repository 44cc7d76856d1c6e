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
inline constexpr std::uint64_t kAddressMask = 0x0000fffffffffff8ULL;

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

// Eight bits of a key, those behind the first `skip` ones.
template <typename Key>
[[nodiscard]] inline unsigned window_of(Key key, unsigned skip) {
  return static_cast<unsigned>(key >> (kKeyBits<Key> - 8 - skip)) & 0xffU;
}

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
  std::uint32_t rules = 0;  // kIndexed, kPile: for the writer
  // kFew: words of rules by rank, never changed once published. kIndexed: [0] the trie, [1] to [4] a bit for each value
  // of the eight bits that some rule takes. kPile: [0] the Pile.
  std::array<std::uint64_t, kFlat> word{};

  [[nodiscard]] unsigned window(const std::array<typename V::Key, kKeys>& keys) const {
    return window_of(keys[window_dim], window_skip);
  }
  [[nodiscard]] bool may_take(unsigned value) {
    return ((std::atomic_ref(word[1 + value / 64]).load(std::memory_order_relaxed) >> (value % 64)) & 1U) != 0;
  }
  // kIndexed: for a rule that is about to be added.
  void widen(const Rule<V>& rule);
  void widen_to_all() {
    for (std::size_t i = 1; i < word.size(); ++i) std::atomic_ref(word[i]).store(UINT64_MAX, std::memory_order_relaxed);
  }
  // The eight bits that tell these rules apart best.
  void choose_window(std::span<Rule<V>* const> of);
};
static_assert(kFlat == 5);  // 256 bits behind the trie

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
