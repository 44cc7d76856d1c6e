// SPDX-License-Identifier: Apache-2.0
#pragma once

// Prefixes of numbers, each with one word: a trie with 64 children a node in which a bitmap says which prefixes and
// which children a node has, so that a node is 32 octets and one look at it finds every prefix that ends there ("tree
// bitmap"). A subtree of one prefix is a leaf. One thread writes, any number may read: blocks are copied, changed and
// published through one word; what is replaced is retired through Pool.
//
// Cost: a lookup visits bits/6 + 1 nodes at most, in practice log64 of the number of prefixes.
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "engine/classifier/pool.h"

namespace cygnet::engine::classifier {

__extension__ typedef unsigned __int128 U128;

// Words that readers follow.
[[nodiscard]] inline std::uint64_t load_word(std::uint64_t& word) {
  return std::atomic_ref<std::uint64_t>(word).load(std::memory_order_acquire);
}
inline void store_word(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref<std::uint64_t>(word).store(value, std::memory_order_release);
}

// The instruction that the baseline does not have, where the CPU does.
#if defined(__x86_64__)
[[nodiscard]] inline unsigned ones_by_instruction(std::uint64_t x) {
  std::uint64_t count = 0;
  asm("popcntq %1, %0" : "=r"(count) : "r"(x) : "cc");
  return static_cast<unsigned>(count);
}
[[nodiscard]] inline bool has_ones_instruction() { return __builtin_cpu_supports("popcnt") != 0; }
#else
[[nodiscard]] inline unsigned ones_by_instruction(std::uint64_t x) { return static_cast<unsigned>(std::popcount(x)); }
[[nodiscard]] inline bool has_ones_instruction() { return true; }
#endif

// Without it this beats the library's table.
[[nodiscard]] inline unsigned ones(std::uint64_t x) {
#ifdef __POPCNT__
  return static_cast<unsigned>(std::popcount(x));
#else
  x -= (x >> 1U) & 0x5555555555555555ULL;
  x = (x & 0x3333333333333333ULL) + ((x >> 2U) & 0x3333333333333333ULL);
  x = (x + (x >> 4U)) & 0x0f0f0f0f0f0f0f0fULL;
  return static_cast<unsigned>((x * 0x0101010101010101ULL) >> 56U);
#endif
}

// What belongs to a prefix: its word, and a few bits of whoever made it that tell which numbers have no business there.
// The filter of a prefix that stands alone is not kept.
struct Value {
  std::uint64_t word = 0;
  std::uint64_t filter = 0;
};

struct alignas(32) Node {
  // Branch: [0] which prefixes end here, [1] which children there are, [2] their Values (the word itself if it is one
  // prefix), [3] the children. Leaf: [0], [1] its prefix, [2] its word, [3] length << 8 | 1.
  std::array<std::uint64_t, 4> word{};

  [[nodiscard]] static Node leaf(U128 key, unsigned length, std::uint64_t value) {
    return {{static_cast<std::uint64_t>(key), static_cast<std::uint64_t>(key >> 64U), value, (length << 8U) | 1U}};
  }
  // Word 3 of a branch changes while readers look at it; whether it is a leaf does not.
  [[nodiscard]] static bool is_leaf(std::uint64_t word3) { return (word3 & 1U) != 0; }
  [[nodiscard]] static unsigned leaf_length(std::uint64_t word3) { return static_cast<unsigned>(word3 >> 8U); }
  // Of a trie that holds nothing: a branch without anything.
  [[nodiscard]] bool empty() const { return word == decltype(word){}; }
};

// A word that refers to memory may say more in its other bits.
inline constexpr std::uint64_t kAddressMask = 0x0000fffffffffff8ULL;
[[nodiscard]] inline Node* nodes_at(std::uint64_t word) { return reinterpret_cast<Node*>(word & kAddressMask); }
// The same for word 3 of a branch, which says nothing else.
[[nodiscard]] inline Node* children_at(std::uint64_t word3) { return reinterpret_cast<Node*>(word3); }
[[nodiscard]] inline Value* values_at(std::uint64_t word) { return reinterpret_cast<Value*>(word); }

inline constexpr unsigned kStride = 6;

// Where prefixes of 0 to 5 further bits stand in a node's bitmap: those of 0 to 2 bits first, then each prefix of 3
// bits with the longer ones within it, so that those that take one number are in few cache lines.
[[nodiscard]] constexpr unsigned position_of(unsigned chunk, unsigned length) {
  constexpr unsigned kUpper = 3;
  constexpr unsigned kGroup = 7;
  const unsigned prefix = chunk >> (kStride - length);
  if (length < kUpper) return (1U << length) - 1 + prefix;
  const unsigned below = length - kUpper;
  return kGroup + (prefix >> below) * kGroup + (1U << below) - 1 + (prefix & ((1U << below) - 1));
}
// The prefixes of a node that take a number whose next six bits are these.
inline constexpr std::array<std::uint64_t, 64> kTakes = [] {
  std::array<std::uint64_t, 64> masks{};
  for (unsigned chunk = 0; chunk < 64; ++chunk) {
    for (unsigned length = 0; length < kStride; ++length) masks[chunk] |= 1ULL << position_of(chunk, length);
  }
  return masks;
}();

// Key: an unsigned number whose prefixes count from its highest bit.
template <typename Key>
inline constexpr unsigned kKeyBits = sizeof(Key) * 8;

template <typename Key>
[[nodiscard]] inline unsigned chunk_of(Key key, unsigned depth) {
  const unsigned from_top = depth * kStride + kStride;
  if (from_top <= kKeyBits<Key>) return static_cast<unsigned>(key >> (kKeyBits<Key> - from_top)) & 63U;
  return static_cast<unsigned>(key << (from_top - kKeyBits<Key>)) & 63U;
}

template <typename Key>
[[nodiscard]] inline Key prefix_mask(unsigned length) {
  return length == 0 ? Key{0} : static_cast<Key>(~Key{0} << (kKeyBits<Key> - length));
}

template <typename Key>
struct Prefix {
  Key key = 0;
  unsigned length = 0;
  bool operator==(const Prefix&) const = default;
};

template <typename Key>
[[nodiscard]] inline Key leaf_key(const Node& node) {
  if constexpr (sizeof(Key) == 16) {
    return (U128{node.word[1]} << 64U) | node.word[0];
  } else {
    return static_cast<Key>(node.word[0]);
  }
}

// Where a prefix has its value.
struct Place {
  std::uint64_t* word = nullptr;
  std::uint64_t* filter = nullptr;  // null: none is kept
};

// The writer's side. owner: the word that refers to a piece of memory of two nodes' size, of which the second one is
// the root of the trie; the first one is the caller's, and is copied whenever the root changes. What the word says
// besides where the piece is stays as it is. Bits of keys beyond their length are zero.
template <typename Key>
class TrieWriter {
 public:
  // The filter of a word that is there, whose prefix is alone no longer.
  using FilterOf = std::uint64_t (*)(std::uint64_t word, unsigned context);
  TrieWriter(Pool& pool, std::uint64_t& owner, FilterOf filter_of, unsigned context)
      : pool_(pool), owner_(owner), filter_of_(filter_of), context_(context) {}

  // The place of this prefix, made with word and filter 0 if it was not there; readers skip zeros. Valid until the next
  // change.
  [[nodiscard]] Place insert(const Prefix<Key>& prefix);
  [[nodiscard]] std::optional<Place> find(const Prefix<Key>& prefix) const;
  void erase(const Prefix<Key>& prefix);
  [[nodiscard]] bool empty() const { return root().node().empty(); }

 private:
  // The way down: at each depth the block that holds the node, and the word that points to the block.
  struct Step {
    std::uint64_t* owner = nullptr;
    unsigned size = 0;
    unsigned index = 0;
    [[nodiscard]] Node& node() const { return nodes_at(*owner)[index]; }
  };
  [[nodiscard]] Step root() const { return {&owner_, 2, 1}; }
  static constexpr unsigned kMaxSteps = kKeyBits<Key> / kStride + 2;

  [[nodiscard]] Step below(const Step& step, unsigned chunk) const;
  [[nodiscard]] Node branch_of(const Node& leaf, unsigned depth);
  void replace(const Step& step, const Node& node);
  void remove(std::array<Step, kMaxSteps>& way, std::array<unsigned, kMaxSteps>& chunks, unsigned depth);
  void collapse(std::array<Step, kMaxSteps>& way, unsigned depth);
  [[nodiscard]] std::uint64_t insert_child(const Node& node, unsigned index, const Node& child);
  [[nodiscard]] std::uint64_t insert_value(const Node& node, unsigned index);
  [[nodiscard]] std::uint64_t without_child(const Node& node, unsigned index);
  [[nodiscard]] std::uint64_t without_value(const Node& node, unsigned index);
  [[nodiscard]] bool is_single_leaf(const Node& node) const;
  [[nodiscard]] Node* new_nodes(unsigned count) { return static_cast<Node*>(pool_.allocate(count * sizeof(Node))); }
  void retire_nodes(std::uint64_t block, unsigned count) {
    if (count != 0) pool_.release(nodes_at(block), count * sizeof(Node));
  }
  [[nodiscard]] Value* new_values(unsigned count) { return static_cast<Value*>(pool_.allocate(count * sizeof(Value))); }
  void retire_values(std::uint64_t block, unsigned count) {
    if (count > 1) pool_.release(values_at(block), count * sizeof(Value));
  }

  Pool& pool_;
  std::uint64_t& owner_;
  FilterOf filter_of_;
  unsigned context_;
};

extern template class TrieWriter<std::uint64_t>;
extern template class TrieWriter<U128>;

}  // namespace cygnet::engine::classifier
