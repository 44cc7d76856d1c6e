// SPDX-License-Identifier: Apache-2.0
// The lookup: tasks of all packets of a burst, each in the queue of its kind. A task's memory was asked for when it was
// queued. The queues are emptied in turn: whole rounds of the same work keep the processor's guesses right, and rules
// found in one round spare the next ones what they outrank. Whether a task is wanted is mostly as random as the packet,
// so it is written down in any case and counted if it is wanted, instead of jumping.
#include <array>

#include "engine/classifier/classifier.h"
#include "engine/classifier/sets.h"

namespace cygnet::engine::classifier {
namespace {

// Tasks are without initial values: queues of them are made for each burst.
template <typename Key>
struct NodeTask {
  Node* node;
  Key key;  // the bits from this node on, at the top
  std::uint16_t lane;
  std::uint16_t dim;  // of its trie
};
struct SlotTask {  // a word of a trie
  std::uint64_t* slot;
  std::uint16_t lane;
};
struct WordTask {  // a set or a rule
  std::uint64_t word;
  std::uint16_t lane;
};

constexpr std::uint32_t kQueue = 512;  // a power of two, at least kBurst; a set is entered at once if there is no room

template <typename Task>
class Queue {
 public:
  [[nodiscard]] std::uint32_t room() const { return kQueue - (tail_ - head_); }
  // There must be room, wanted or not.
  void put_if(bool wanted, const Task& task) {
    tasks_[tail_ % kQueue] = task;
    tail_ += wanted ? 1 : 0;
  }
  [[nodiscard]] bool empty() const { return head_ == tail_; }
  [[nodiscard]] Task take() { return tasks_[head_++ % kQueue]; }

 private:
  std::array<Task, kQueue> tasks_;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
};

}  // namespace

template <typename V>
template <bool kInstruction>
class Classifier<V>::Lookup {
 public:
  Lookup(const Classifier& classifier, std::span<const Query<V>> queries, std::span<Hit> hits)
      : classifier_(classifier), queries_(queries), hits_(hits) {}

  // root: a set indexed by kRemote.
  void run(std::uint64_t root) {
    for (auto& hit : hits_.first(queries_.size())) hit = {};
    best_.fill(UINT64_MAX);
    const auto trie = load_word(target_of<Set>(root)->word[0]);
    if (trie == 0) return;
    for (std::size_t lane = 0; lane < queries_.size(); ++lane) {
      go_to(nodes_at(trie), true, queries_[lane].keys[0], static_cast<std::uint16_t>(lane), 0);
    }
    for (;;) {
      while (!nodes_.empty()) {
        visit(nodes_.take());
        if (slots_.room() < kStride) read_slots();
      }
      read_slots();
      try_rules();
      if (sets_.empty()) return;
      while (!sets_.empty()) enter(sets_.take());  // at most a node for each
    }
  }

 private:
  static_assert(static_cast<unsigned>(Dim::kRemote) == 0);
  [[nodiscard]] static unsigned count(std::uint64_t x) { return kInstruction ? ones_by_instruction(x) : ones(x); }

  // ---- what comes next
  void go_to(Node* node, bool wanted, Key key, std::uint16_t lane, std::uint16_t dim) {
    __builtin_prefetch(wanted ? static_cast<const void*>(node) : best_.data());
    nodes_.put_if(wanted, {node, key, lane, dim});
  }

  void look_at(std::uint64_t* slot, bool wanted, std::uint16_t lane) {
    __builtin_prefetch(slot);
    slots_.put_if(wanted, {slot, lane});
  }

  // A word of a trie or a set.
  void follow(std::uint64_t word, std::uint16_t lane) {
    const bool wanted = (word != 0) & (coarse_of(word) <= best_[lane]);
    const bool set = kind_of(word) == Kind::kSet;
    if (rules_.room() == 0) [[unlikely]]
      try_rules();
    if (sets_.room() == 0) [[unlikely]] {
      if (wanted) walk(word, lane);
      return;
    }
    const char* memory = wanted ? target_of<const char>(word) : reinterpret_cast<const char*>(best_.data());
    __builtin_prefetch(memory);
    if constexpr (sizeof(Rule<V>) > 64) __builtin_prefetch(memory + 64);
    sets_.put_if(wanted & set, {word, lane});
    rules_.put_if(wanted & !set, {word, lane});
  }

  // ---- the tasks
  void read_slots() {
    while (!slots_.empty()) {
      const auto task = slots_.take();
      follow(load_word(*task.slot), task.lane);
    }
  }

  void try_rules() {
    while (!rules_.empty()) {
      const auto task = rules_.take();
      try_rule(*target_of<const Rule<V>>(task.word), task.lane);
    }
  }

  void try_rule(const Rule<V>& rule, std::uint16_t lane) {
    auto& hit = hits_[lane];
    const auto& query = queries_[lane];
    if (!((rule.rank < hit.rank) & query.lies_in(rule))) return;
    if ((rule.whole || classifier_.always_ask_) && !classifier_.accept_(rule.owner, *query.packet, rule.whole)) return;
    hit = {rule.rank, rule.owner};
    best_[lane] = coarse(rule.rank);
  }

  void enter(const WordTask& task) {
    auto& set = *target_of<Set>(task.word);
    const auto& query = queries_[task.lane];
    if (set.form == Set::Form::kIndexed) {
      if (asks_all(set, query)) [[unlikely]] {
        walk(task.word, task.lane);
        return;
      }
      const auto trie = load_word(set.word[0]);
      go_to(nodes_at(trie), set.may_take(set.window(query.keys)) & (trie != 0), query.keys[key_index(set.dim)],
            task.lane, set.dim);
    } else if (set.form == Set::Form::kFew) {
      // Most of the time none.
      for (auto take = taken_of(set, query); take != 0; take &= take - 1) {
        follow(set.word[static_cast<unsigned>(std::countr_zero(take))], task.lane);
      }
    } else {
      search(*target_of<const Pile>(set.word[0]), task.lane);
    }
  }

  // No device was named, and here devices tell the rules apart: those of all.
  [[nodiscard]] static bool asks_all(const Set& set, const Query<V>& query) {
    return set.dim == static_cast<unsigned>(Dim::kDevice) && query.device == kEveryDevice;
  }

  // A bit for each rule that may take it.
  [[nodiscard]] static unsigned taken_of(const Set& set, const Query<V>& query) {
    const unsigned value = set.window(query.keys);
    unsigned take = 0;
    for (unsigned i = 0; i < kFlat; ++i) {
      const bool takes = value - set.low[i] <= static_cast<unsigned>(set.high[i] - set.low[i]);
      take |= (takes ? 1U : 0U) << i;
    }
    return take & ((1U << set.count) - 1);
  }

  void search(const Pile& pile, std::uint16_t lane) {
    for (const auto* entry = pile.first.load(std::memory_order_acquire);
         entry != nullptr && entry->rule->rank < hits_[lane].rank;
         entry = entry->next.load(std::memory_order_acquire)) {
      try_rule(*entry->rule, lane);
    }
  }

  [[nodiscard]] bool leaf_takes(const Node& leaf, std::uint64_t word3, std::uint16_t lane, unsigned dim) const {
    const Key key = queries_[lane].keys[key_index(dim)];
    return ((key ^ leaf_key<Key>(leaf)) & prefix_mask<Key>(Node::leaf_length(word3))) == 0;
  }

  [[nodiscard]] static std::uint64_t* words_of(Node& node) {
    const bool single = (node.word[0] & (node.word[0] - 1)) == 0;
    return single ? &node.word[2] : words_at(load_word(node.word[2]));
  }

  void visit(const NodeTask<Key>& task) {
    auto& node = *task.node;
    const std::uint64_t word3 = load_word(node.word[3]);
    if (Node::is_leaf(word3)) {
      follow(leaf_takes(node, word3, task.lane, task.dim) ? load_word(node.word[2]) : 0, task.lane);
      return;
    }
    const auto chunk = static_cast<unsigned>(task.key >> (kKeyBits<Key> - kStride));
    const std::uint64_t child = 1ULL << chunk;
    go_to(nodes_at(word3) + count(node.word[1] & (child - 1)), (node.word[1] & child) != 0,
          static_cast<Key>(task.key << kStride), task.lane, task.dim);
    const std::uint64_t present = node.word[0];
    auto taken = present & kTakes[chunk];
    if (taken == 0) return;
    auto* words = words_of(node);
    for (; taken != 0; taken &= taken - 1) look_at(words + count(present & ((taken & -taken) - 1)), true, task.lane);
  }

  // ---- all of it at once, without waiting for memory
  void walk(std::uint64_t word, std::uint16_t lane) {
    if (word == 0 || coarse_of(word) > best_[lane]) return;
    if (kind_of(word) == Kind::kRule) {
      try_rule(*target_of<const Rule<V>>(word), lane);
      return;
    }
    auto& set = *target_of<Set>(word);
    const auto& query = queries_[lane];
    if (set.form == Set::Form::kPile) {
      search(*target_of<const Pile>(set.word[0]), lane);
    } else if (set.form == Set::Form::kFew) {
      for (auto take = taken_of(set, query); take != 0; take &= take - 1) {
        walk(set.word[static_cast<unsigned>(std::countr_zero(take))], lane);
      }
    } else if (asks_all(set, query)) {
      if (const auto trie = load_word(set.word[0]); trie != 0) walk_all(*nodes_at(trie), lane);
    } else if (set.may_take(set.window(query.keys))) {
      walk_trie(set, lane);
    }
  }

  void walk_trie(Set& set, std::uint16_t lane) {
    const auto trie = load_word(set.word[0]);
    Key key = queries_[lane].keys[key_index(set.dim)];
    for (auto* node = trie == 0 ? nullptr : nodes_at(trie); node != nullptr; key = static_cast<Key>(key << kStride)) {
      const std::uint64_t word3 = load_word(node->word[3]);
      if (Node::is_leaf(word3)) {
        if (leaf_takes(*node, word3, lane, set.dim)) walk(load_word(node->word[2]), lane);
        return;
      }
      const auto chunk = static_cast<unsigned>(key >> (kKeyBits<Key> - kStride));
      const std::uint64_t present = node->word[0];
      auto* words = words_of(*node);
      for (auto taken = present & kTakes[chunk]; taken != 0; taken &= taken - 1) {
        walk(load_word(words[count(present & ((taken & -taken) - 1))]), lane);
      }
      const std::uint64_t child = 1ULL << chunk;
      node = (node->word[1] & child) == 0 ? nullptr : nodes_at(word3) + count(node->word[1] & (child - 1));
    }
  }

  void walk_all(Node& node, std::uint16_t lane) {
    const std::uint64_t word3 = load_word(node.word[3]);
    if (Node::is_leaf(word3)) {
      walk(load_word(node.word[2]), lane);
      return;
    }
    const unsigned values = count(node.word[0]);
    for (unsigned i = 0; i < values; ++i) walk(load_word(words_of(node)[i]), lane);
    for (unsigned i = 0; i < count(node.word[1]); ++i) walk_all(nodes_at(word3)[i], lane);
  }

  const Classifier& classifier_;
  std::span<const Query<V>> queries_;
  std::span<Hit> hits_;
  std::array<std::uint64_t, kBurst> best_;  // coarse
  Queue<NodeTask<Key>> nodes_;
  Queue<SlotTask> slots_;
  Queue<WordTask> sets_;
  Queue<WordTask> rules_;
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
