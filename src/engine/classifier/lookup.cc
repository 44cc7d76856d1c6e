// SPDX-License-Identifier: Apache-2.0
// The lookup: tasks of all packets of a burst, each in the list of its kind. A task's memory was asked for when it was
// written down. The lists are gone through in turn: whole rounds of the same work keep the processor's guesses right,
// and rules found in one round spare the next ones what they outrank. Whether a task is wanted is mostly as random as
// the packet, so it is written down in any case and counted if it is wanted, instead of jumping. Lengths of lists are
// in registers meanwhile (Grown): in memory they were a third of the instructions.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/classifier/classifier.h"
#include "engine/classifier/sets.h"

namespace cygnet::engine::classifier {
namespace {

// Tasks are without initial values: lists of them are made for each burst.
template <typename Key>
struct NodeTask {
  Node* node;
  Key key;  // the bits from this node on, at the top
  std::uint16_t lane;
  std::uint16_t dim;  // of its trie
};
struct SlotTask {  // of a node with several
  Value* value;
  std::uint64_t lane;
};
struct WordTask {  // a set or a rule
  std::uint64_t word;
  std::uint64_t lane;
};

constexpr std::uint32_t kRoom = 512;  // of each list; at least kBurst

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
    auto* trie = &target_of<Set>(root)->root();
    for (std::size_t lane = 0; lane < queries_.size(); ++lane) {
      node_tasks_[lane] = {trie, queries_[lane].keys[0], static_cast<std::uint16_t>(lane), 0};
    }
    nodes_ = static_cast<std::uint32_t>(queries_.size());
    for (;;) {
      while (nodes_ != 0) {
        visit_nodes();
        if (slots_ >= kBurst) read_slots();  // what was asked for first has come, and more would not stay in the cache
      }
      read_slots();
      try_rules();
      if (sets_ == 0) return;
      enter_sets();
    }
  }

 private:
  static_assert(static_cast<unsigned>(Dim::kRemote) == 0);
  [[nodiscard]] static unsigned count(std::uint64_t x) { return kInstruction ? ones_by_instruction(x) : ones(x); }

  // How many tasks there are in the lists that grow, in registers while one is gone through.
  struct Grown {
    std::uint32_t nodes, slots, sets, rules;
  };
  [[nodiscard]] Grown grown() const { return {nodes_, slots_, sets_, rules_}; }
  void keep(const Grown& now) { nodes_ = now.nodes, slots_ = now.slots, sets_ = now.sets, rules_ = now.rules; }

  // ---- what comes next
  void go_to(Grown& now, Node* node, bool wanted, Key key, std::uint16_t lane, std::uint16_t dim) {
    __builtin_prefetch(wanted ? static_cast<const void*>(node) : best_.data());
    node_tasks_[now.nodes] = {node, key, lane, dim};
    now.nodes += wanted ? 1 : 0;
  }

  // A word of a trie or a set. There must be room for it.
  void follow(Grown& now, std::uint64_t word, std::uint64_t lane) {
    const bool wanted = (word != 0) & (coarse_of(word) <= best_[lane]);
    const bool set = kind_of(word) == Kind::kSet;
    const char* memory = wanted ? target_of<const char>(word) : reinterpret_cast<const char*>(best_.data());
    __builtin_prefetch(memory);
    if constexpr (sizeof(Rule<V>) > 64) __builtin_prefetch(memory + 64);
    set_tasks_[now.sets] = {word, lane};
    now.sets += (wanted & set) ? 1 : 0;
    rule_tasks_[now.rules] = {word, lane};
    now.rules += (wanted & !set) ? 1 : 0;
  }

  // Room for so many words, after which there are more rules to try or a set less to wait for.
  void make_room(Grown& now, std::uint32_t words) {
    if (now.rules + words > kRoom) {
      rules_ = now.rules;
      try_rules();
      now.rules = 0;
    }
    for (; now.sets + words > kRoom; --now.sets) {
      const auto& last = set_tasks_[now.sets - 1];
      walk(last.word, static_cast<std::uint16_t>(last.lane));
    }
  }

  // ---- the tasks
  void read_slots() {
    auto now = grown();
    const auto slots = std::exchange(now.slots, 0);
    for (std::uint32_t i = 0; i < slots; ++i) {
      const auto task = slot_tasks_[i];
      const auto word = load_word(task.value->word);
      const bool may = filter_takes<Key>(load_word(task.value->filter), queries_[task.lane].keys);
      if (std::max(now.sets, now.rules) == kRoom) [[unlikely]]
        make_room(now, 1);
      follow(now, may ? word : 0, task.lane);
    }
    keep(now);
  }

  void try_rules() {
    const auto rules = std::exchange(rules_, 0);
    for (std::uint32_t i = 0; i < rules; ++i) {
      const auto task = rule_tasks_[i];
      try_rule(*target_of<const Rule<V>>(task.word), static_cast<std::uint16_t>(task.lane));
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

  // Those that come in do not see those that come out: a node for each at most, and what a small set holds is put
  // where it came from, behind what is still to be entered.
  void enter_sets() {
    auto now = grown();
    const auto sets = std::exchange(now.sets, 0);
    std::copy_n(set_tasks_.begin(), sets, entered_.begin());
    for (std::uint32_t i = 0; i < sets; ++i) {
      if (now.slots + kStride > kRoom) [[unlikely]] {
        keep(now);
        read_slots();
        now = grown();
      }
      if (std::max(now.sets, now.rules) + kFlat > kRoom) [[unlikely]]
        make_room(now, kFlat);
      enter(now, entered_[i]);
    }
    keep(now);
  }

  void enter(Grown& now, const WordTask& task) {
    auto& set = *target_of<Set>(task.word);
    const auto lane = static_cast<std::uint16_t>(task.lane);
    const auto& query = queries_[lane];
    if (set.form == Set::Form::kIndexed) {
      if (asks_all(set, query)) [[unlikely]] {
        walk(task.word, lane);
        return;
      }
      if (set.may_take(set.window(query.keys))) {
        visit(now, {&set.root(), query.keys[key_index(set.dim)], lane, set.dim});
      }
    } else if (set.form == Set::Form::kFew) {
      // Most of the time none.
      for (auto take = taken_of(set, query); take != 0; take &= take - 1) {
        follow(now, set.word[static_cast<unsigned>(std::countr_zero(take))], lane);
      }
    } else {
      search(set.pile(), lane);
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

  [[nodiscard]] static bool is_single(std::uint64_t present) { return (present & (present - 1)) == 0; }

  // One step down for each. A node leads to one at most, which takes its place in the list.
  void visit_nodes() {
    auto now = grown();
    const auto nodes = std::exchange(now.nodes, 0);
    for (std::uint32_t i = 0; i < nodes; ++i) {
      if ((now.slots + kStride > kRoom) | (std::max(now.sets, now.rules) == kRoom)) [[unlikely]] {
        keep(now);
        read_slots();
        const auto kept = now.nodes;
        now = grown();
        now.nodes = kept;
        make_room(now, 1);
      }
      const auto task = node_tasks_[i];
      visit(now, task);
    }
    keep(now);
  }

  [[gnu::always_inline]] void visit(Grown& now, const NodeTask<Key>& task) {
    auto& node = *task.node;
    const std::uint64_t word3 = load_word(node.word[3]);
    if (Node::is_leaf(word3)) {
      follow(now, leaf_takes(node, word3, task.lane, task.dim) ? load_word(node.word[2]) : 0, task.lane);
      return;
    }
    const auto chunk = static_cast<unsigned>(task.key >> (kKeyBits<Key> - kStride));
    const std::uint64_t child = 1ULL << chunk;
    go_to(now, children_at(word3) + count(node.word[1] & (child - 1)), (node.word[1] & child) != 0,
          static_cast<Key>(task.key << kStride), task.lane, task.dim);
    const std::uint64_t present = node.word[0];
    auto taken = present & kTakes[chunk];
    if (taken == 0) return;
    const auto word2 = load_word(node.word[2]);
    if (is_single(present)) {
      follow(now, word2, task.lane);
      return;
    }
    auto* values = values_at(word2);
    for (; taken != 0; taken &= taken - 1) {
      auto* value = values + count(present & ((taken & -taken) - 1));
      __builtin_prefetch(value);
      slot_tasks_[now.slots++] = {value, task.lane};
    }
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
      search(set.pile(), lane);
    } else if (set.form == Set::Form::kFew) {
      for (auto take = taken_of(set, query); take != 0; take &= take - 1) {
        walk(set.word[static_cast<unsigned>(std::countr_zero(take))], lane);
      }
    } else if (asks_all(set, query)) {
      walk_all(set.root(), lane);
    } else if (set.may_take(set.window(query.keys))) {
      walk_trie(set, lane);
    }
  }

  [[nodiscard]] static std::uint64_t value_of(Node& node, unsigned index) {
    const auto word2 = load_word(node.word[2]);
    return is_single(node.word[0]) ? word2 : load_word(values_at(word2)[index].word);
  }

  void walk_trie(Set& set, std::uint16_t lane) {
    Key key = queries_[lane].keys[key_index(set.dim)];
    for (auto* node = &set.root(); node != nullptr; key = static_cast<Key>(key << kStride)) {
      const std::uint64_t word3 = load_word(node->word[3]);
      if (Node::is_leaf(word3)) {
        if (leaf_takes(*node, word3, lane, set.dim)) walk(load_word(node->word[2]), lane);
        return;
      }
      const auto chunk = static_cast<unsigned>(key >> (kKeyBits<Key> - kStride));
      const std::uint64_t present = node->word[0];
      for (auto taken = present & kTakes[chunk]; taken != 0; taken &= taken - 1) {
        walk(value_of(*node, count(present & ((taken & -taken) - 1))), lane);
      }
      const std::uint64_t child = 1ULL << chunk;
      node = (node->word[1] & child) == 0 ? nullptr : children_at(word3) + count(node->word[1] & (child - 1));
    }
  }

  void walk_all(Node& node, std::uint16_t lane) {
    const std::uint64_t word3 = load_word(node.word[3]);
    if (Node::is_leaf(word3)) {
      walk(load_word(node.word[2]), lane);
      return;
    }
    const unsigned values = count(node.word[0]);
    for (unsigned i = 0; i < values; ++i) walk(value_of(node, i), lane);
    for (unsigned i = 0; i < count(node.word[1]); ++i) walk_all(children_at(word3)[i], lane);
  }

  const Classifier& classifier_;
  std::span<const Query<V>> queries_;
  std::span<Hit> hits_;
  std::array<std::uint64_t, kBurst> best_;  // coarse
  std::uint32_t nodes_ = 0, slots_ = 0, sets_ = 0, rules_ = 0;
  std::array<NodeTask<Key>, kRoom + 1> node_tasks_;
  std::array<SlotTask, kRoom + 1> slot_tasks_;
  std::array<WordTask, kRoom + 1> set_tasks_, rule_tasks_, entered_;
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
