// SPDX-License-Identifier: Apache-2.0
#include "engine/classifier/trie.h"

#include <algorithm>
#include <new>

namespace cygnet::engine::classifier {
namespace {

[[nodiscard]] std::uint64_t word_of(const void* block) { return reinterpret_cast<std::uint64_t>(block); }
[[nodiscard]] std::uint64_t bit(unsigned i) { return 1ULL << i; }
[[nodiscard]] unsigned rank_of(std::uint64_t bitmap, unsigned position) { return ones(bitmap & (bit(position) - 1)); }

[[nodiscard]] Place place_of(Node& node, unsigned index) {
  if (ones(node.word[0]) == 1) return {&node.word[2], nullptr};
  auto& value = values_at(node.word[2])[index];
  return {&value.word, &value.filter};
}

template <typename Key>
[[nodiscard]] bool is_prefix(const Node& leaf, const Prefix<Key>& prefix) {
  return Node::leaf_length(leaf.word[3]) == prefix.length && leaf_key<Key>(leaf) == prefix.key;
}

}  // namespace

template <typename Key>
auto TrieWriter<Key>::below(const Step& step, unsigned chunk) const -> Step {
  auto& node = step.node();
  return {&node.word[3], ones(node.word[1]), rank_of(node.word[1], chunk)};
}

// Publishes a copy of the block with this node in it.
template <typename Key>
void TrieWriter<Key>::replace(const Step& step, const Node& node) {
  const std::uint64_t old = *step.owner;
  auto* block = new_nodes(step.size);
  std::uninitialized_copy_n(nodes_at(old), step.size, block);
  block[step.index] = node;
  store_word(*step.owner, word_of(block) | (old & ~kAddressMask));
  retire_nodes(old, step.size);
}

// A branch that holds nothing but this leaf.
template <typename Key>
Node TrieWriter<Key>::branch_of(const Node& leaf, unsigned depth) {
  const unsigned length = Node::leaf_length(leaf.word[3]);
  const unsigned chunk = chunk_of(leaf_key<Key>(leaf), depth);
  Node branch;
  if (length < (depth + 1) * kStride) {
    branch.word[0] = bit(position_of(chunk, length - depth * kStride));
    branch.word[2] = leaf.word[2];
  } else {
    branch.word[1] = bit(chunk);
    branch.word[3] = insert_child(Node{}, 0, leaf);
  }
  return branch;
}

template <typename Key>
std::uint64_t TrieWriter<Key>::insert_child(const Node& node, unsigned index, const Node& child) {
  const unsigned count = ones(node.word[1]);
  auto* block = new_nodes(count + 1);
  const auto* old = nodes_at(node.word[3]);
  std::uninitialized_copy_n(old, index, block);
  new (block + index) Node(child);
  std::uninitialized_copy_n(old + index, count - index, block + index + 1);
  return word_of(block);
}

template <typename Key>
std::uint64_t TrieWriter<Key>::insert_value(const Node& node, unsigned index) {
  const unsigned count = ones(node.word[0]);
  if (count == 0) return 0;
  auto* block = new_values(count + 1);
  if (count == 1) {
    block[1 - index] = {node.word[2], filter_of_(node.word[2], context_)};
  } else {
    const auto* old = values_at(node.word[2]);
    std::uninitialized_copy_n(old, index, block);
    std::uninitialized_copy_n(old + index, count - index, block + index + 1);
  }
  block[index] = {};
  return word_of(block);
}

template <typename Key>
std::uint64_t TrieWriter<Key>::without_child(const Node& node, unsigned index) {
  const unsigned count = ones(node.word[1]);
  if (count == 1) return 0;
  auto* block = new_nodes(count - 1);
  const auto* old = nodes_at(node.word[3]);
  std::uninitialized_copy_n(old, index, block);
  std::uninitialized_copy_n(old + index + 1, count - index - 1, block + index);
  return word_of(block);
}

template <typename Key>
std::uint64_t TrieWriter<Key>::without_value(const Node& node, unsigned index) {
  const unsigned count = ones(node.word[0]);
  if (count == 1) return 0;
  const auto* old = values_at(node.word[2]);
  if (count == 2) return old[1 - index].word;
  auto* block = new_values(count - 1);
  std::uninitialized_copy_n(old, index, block);
  std::uninitialized_copy_n(old + index + 1, count - index - 1, block + index);
  return word_of(block);
}

template <typename Key>
Place TrieWriter<Key>::insert(const Prefix<Key>& prefix) {
  Step step = root();
  if (step.node().empty()) replace(step, Node::leaf(prefix.key, prefix.length, 0));
  for (unsigned depth = 0;; ++depth) {
    if (Node::is_leaf(step.node().word[3])) {
      if (is_prefix(step.node(), prefix)) return {&step.node().word[2], nullptr};
      replace(step, branch_of(step.node(), depth));
    }
    auto& node = step.node();
    const unsigned chunk = chunk_of(prefix.key, depth);
    if (prefix.length < (depth + 1) * kStride) {
      const unsigned position = position_of(chunk, prefix.length - depth * kStride);
      const unsigned index = rank_of(node.word[0], position);
      if ((node.word[0] & bit(position)) != 0) return place_of(node, index);
      Node changed = node;
      changed.word[2] = insert_value(node, index);
      changed.word[0] |= bit(position);
      const auto old = node.word[2];
      const auto count = ones(node.word[0]);
      replace(step, changed);
      retire_values(old, count);
      return place_of(step.node(), index);
    }
    if ((node.word[1] & bit(chunk)) == 0) {
      const unsigned index = rank_of(node.word[1], chunk);
      Node changed = node;
      changed.word[3] = insert_child(node, index, Node::leaf(prefix.key, prefix.length, 0));
      changed.word[1] |= bit(chunk);
      const auto old = node.word[3];
      const auto count = ones(node.word[1]);
      replace(step, changed);
      retire_nodes(old, count);
      return {&nodes_at(changed.word[3])[index].word[2], nullptr};
    }
    step = below(step, chunk);
  }
}

template <typename Key>
std::optional<Place> TrieWriter<Key>::find(const Prefix<Key>& prefix) const {
  if (empty()) return std::nullopt;
  Step step = root();
  for (unsigned depth = 0;; ++depth) {
    auto& node = step.node();
    if (Node::is_leaf(node.word[3])) {
      if (!is_prefix(node, prefix)) return std::nullopt;
      return Place{&node.word[2], nullptr};
    }
    const unsigned chunk = chunk_of(prefix.key, depth);
    if (prefix.length < (depth + 1) * kStride) {
      const unsigned position = position_of(chunk, prefix.length - depth * kStride);
      if ((node.word[0] & bit(position)) == 0) return std::nullopt;
      return place_of(node, rank_of(node.word[0], position));
    }
    if ((node.word[1] & bit(chunk)) == 0) return std::nullopt;
    step = below(step, chunk);
  }
}

template <typename Key>
bool TrieWriter<Key>::is_single_leaf(const Node& node) const {
  return !Node::is_leaf(node.word[3]) && node.word[0] == 0 && ones(node.word[1]) == 1 &&
         Node::is_leaf(nodes_at(node.word[3])->word[3]);
}

// Takes the node at this depth away, and every branch above it that is then empty.
template <typename Key>
void TrieWriter<Key>::remove(std::array<Step, kMaxSteps>& way, std::array<unsigned, kMaxSteps>& chunks,
                             unsigned depth) {
  if (depth == 0) {
    replace(way[0], Node{});
    return;
  }
  const Step& parent = way[depth - 1];
  const Node node = parent.node();
  const unsigned count = ones(node.word[1]);
  if (node.word[0] == 0 && count == 1) {
    remove(way, chunks, depth - 1);
    retire_nodes(node.word[3], count);
    return;
  }
  Node changed = node;
  changed.word[3] = without_child(node, way[depth].index);
  changed.word[1] &= ~bit(chunks[depth - 1]);
  replace(parent, changed);
  retire_nodes(node.word[3], count);
  collapse(way, depth - 1);
}

// From this depth up: a branch that holds nothing but one leaf becomes that leaf.
template <typename Key>
void TrieWriter<Key>::collapse(std::array<Step, kMaxSteps>& way, unsigned depth) {
  for (;; --depth) {
    const Node node = way[depth].node();
    if (!is_single_leaf(node)) return;
    replace(way[depth], *nodes_at(node.word[3]));
    retire_nodes(node.word[3], 1);
    if (depth == 0) return;
  }
}

template <typename Key>
void TrieWriter<Key>::erase(const Prefix<Key>& prefix) {
  if (empty()) return;
  std::array<Step, kMaxSteps> way{};
  std::array<unsigned, kMaxSteps> chunks{};
  way[0] = root();
  for (unsigned depth = 0;; ++depth) {
    const Node node = way[depth].node();
    if (Node::is_leaf(node.word[3])) {
      if (is_prefix(node, prefix)) remove(way, chunks, depth);
      return;
    }
    const unsigned chunk = chunk_of(prefix.key, depth);
    if (prefix.length < (depth + 1) * kStride) {
      const unsigned position = position_of(chunk, prefix.length - depth * kStride);
      if ((node.word[0] & bit(position)) == 0) return;
      const unsigned count = ones(node.word[0]);
      if (count == 1 && node.word[1] == 0) {
        remove(way, chunks, depth);
        return;
      }
      Node changed = node;
      changed.word[2] = without_value(node, rank_of(node.word[0], position));
      changed.word[0] &= ~bit(position);
      replace(way[depth], changed);
      retire_values(node.word[2], count);
      collapse(way, depth);
      return;
    }
    if ((node.word[1] & bit(chunk)) == 0) return;
    chunks[depth] = chunk;
    way[depth + 1] = below(way[depth], chunk);
  }
}

template class TrieWriter<std::uint64_t>;
template class TrieWriter<U128>;

}  // namespace cygnet::engine::classifier
