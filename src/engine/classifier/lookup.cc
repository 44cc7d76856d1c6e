// SPDX-License-Identifier: Apache-2.0
// The lookup: tasks of all packets of a burst in one queue. A task's memory was asked for when it was queued.
#include <array>

#include "engine/classifier/classifier.h"
#include "engine/classifier/sets.h"

namespace cygnet::engine::classifier {
namespace {

struct Task {  // without initial values: a queue of them is made for each burst
  std::uint64_t word;
  std::uint16_t lane;
  std::uint8_t dim;  // kNode: of its trie
  std::uint8_t depth;
};

constexpr std::size_t kQueue = 1024;  // a power of two; what does not fit is done at once, without waiting for memory

}  // namespace

template <typename V>
template <bool kInstruction>
class Classifier<V>::Lookup {
 public:
  Lookup(const Classifier& classifier, std::span<const Query<V>> queries, std::span<Hit> hits)
      : classifier_(classifier), queries_(queries), hits_(hits) {}

  void run(std::uint64_t root) {
    for (std::size_t lane = 0; lane < queries_.size(); ++lane) {
      hits_[lane] = {};
      best_[lane] = UINT64_MAX;
      push({root, static_cast<std::uint16_t>(lane), 0, 0});
    }
    while (head_ != tail_) {
      const Task task = queue_[head_++ % kQueue];
      step(task);
    }
  }

 private:
  [[nodiscard]] static unsigned count(std::uint64_t x) { return kInstruction ? ones_by_instruction(x) : ones(x); }

  void push(const Task& task) {
    const char* memory = target_of<const char>(task.word);
    __builtin_prefetch(memory);
    if constexpr (sizeof(Rule<V>) > 64) {
      if (kind_of(task.word) == Kind::kRule) __builtin_prefetch(memory + 64);
    }
    if (tail_ - head_ < kQueue) {
      queue_[tail_++ % kQueue] = task;
    } else {
      step(task);
    }
  }

  // A word of a trie or a set.
  void follow(std::uint64_t word, std::uint16_t lane) {
    if (word != 0 && coarse_of(word) <= best_[lane]) push({word, lane, 0, 0});
  }

  void step(const Task& task) {
    switch (kind_of(task.word)) {
      case Kind::kRule: try_rule(*target_of<const Rule<V>>(task.word), task.lane); break;
      case Kind::kSet: enter(*target_of<Set>(task.word), task); break;
      case Kind::kNode: visit(*target_of<Node>(task.word), task); break;
      case Kind::kWord: follow(load_word(*target_of<std::uint64_t>(task.word)), task.lane); break;
    }
  }

  void try_rule(const Rule<V>& rule, std::uint16_t lane) {
    auto& hit = hits_[lane];
    if (rule.rank >= hit.rank) return;
    const auto& query = queries_[lane];
    if (!query.lies_in(rule)) return;
    if ((rule.whole || classifier_.always_ask_) && !classifier_.accept_(rule.owner, *query.packet, rule.whole)) return;
    hit = {rule.rank, rule.owner};
    best_[lane] = coarse(rule.rank);
  }

  void enter(Set& set, const Task& task) {
    switch (set.form) {
      case Set::Form::kFew: {
        const unsigned value = set.window(queries_[task.lane].keys);
        for (unsigned i = 0; i < set.count; ++i) {
          if (value - set.low[i] <= static_cast<unsigned>(set.high[i] - set.low[i])) follow(set.word[i], task.lane);
        }
        break;
      }
      case Set::Form::kIndexed: {
        if (!set.may_take(set.window(queries_[task.lane].keys))) break;
        const auto trie = load_word(set.word[0]);
        if (trie != 0) push({word_of(nodes_at(trie), Kind::kNode, 0), task.lane, set.dim, 0});
        break;
      }
      case Set::Form::kPile: {
        const auto& pile = *reinterpret_cast<const Pile*>(set.word[0]);
        for (const auto* entry = pile.first.load(std::memory_order_acquire);
             entry != nullptr && entry->rule->rank < hits_[task.lane].rank;
             entry = entry->next.load(std::memory_order_acquire)) {
          try_rule(*entry->rule, task.lane);
        }
        break;
      }
    }
  }

  void visit(Node& node, const Task& task) {
    const auto& query = queries_[task.lane];
    const std::uint64_t word3 = load_word(node.word[3]);
    const Key key = query.keys[key_index(task.dim)];
    if (query.device == kEveryDevice && task.dim == static_cast<unsigned>(Dim::kDevice)) {
      visit_all(node, word3, task);
      return;
    }
    if (Node::is_leaf(word3)) {
      if (((key ^ leaf_key<Key>(node)) & prefix_mask<Key>(Node::leaf_length(word3))) == 0) {
        follow(load_word(node.word[2]), task.lane);
      }
      return;
    }
    const unsigned chunk = chunk_of(key, task.depth);
    const std::uint64_t children = node.word[1];
    if ((children & (1ULL << chunk)) != 0) {
      const auto* child = nodes_at(word3) + count(children & ((1ULL << chunk) - 1));
      push({word_of(child, Kind::kNode, 0), task.lane, task.dim, static_cast<std::uint8_t>(task.depth + 1)});
    }
    visit_words(node, node.word[0] & kTakes[chunk], task);
  }

  void visit_words(Node& node, std::uint64_t taken, const Task& task) {
    const std::uint64_t present = node.word[0];
    if (taken == 0) return;
    if ((present & (present - 1)) == 0) {
      follow(load_word(node.word[2]), task.lane);
      return;
    }
    for (; taken != 0; taken &= taken - 1) {
      const std::uint64_t lowest = taken & (~taken + 1);
      auto* word = words_at(load_word(node.word[2])) + count(present & (lowest - 1));
      push({word_of(word, Kind::kWord, 0), task.lane, 0, 0});
    }
  }

  // No device was named: the rules of all.
  void visit_all(Node& node, std::uint64_t word3, const Task& task) {
    if (Node::is_leaf(word3)) {
      follow(load_word(node.word[2]), task.lane);
      return;
    }
    visit_words(node, node.word[0], task);
    for (unsigned i = 0; i < count(node.word[1]); ++i) {
      push({word_of(nodes_at(word3) + i, Kind::kNode, 0), task.lane, task.dim,
            static_cast<std::uint8_t>(task.depth + 1)});
    }
  }

  const Classifier& classifier_;
  std::span<const Query<V>> queries_;
  std::span<Hit> hits_;
  std::array<std::uint64_t, kBurst> best_;  // coarse
  std::array<Task, kQueue> queue_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

template <typename V>
void Classifier<V>::find(std::span<const Query<V>> queries, std::span<Hit> hits) const {
  const auto root = load_word(const_cast<std::uint64_t&>(root_));
  if (root == 0) {
    for (auto& hit : hits.first(queries.size())) hit = {};
    return;
  }
  static const bool kInstruction = has_ones_instruction();
  if (kInstruction) {
    Lookup<true>(*this, queries, hits).run(root);
  } else {
    Lookup<false>(*this, queries, hits).run(root);
  }
}

template void Classifier<V4>::find(std::span<const Query<V4>>, std::span<Hit>) const;
template void Classifier<V6>::find(std::span<const Query<V6>>, std::span<Hit>) const;

}  // namespace cygnet::engine::classifier
