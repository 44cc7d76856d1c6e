// SPDX-License-Identifier: Apache-2.0
// The writer: rules into and out of the sets. The lookup is in lookup.cc.
#include "engine/classifier/classifier.h"

#include <algorithm>
#include <new>
#include <vector>

#include "engine/classifier/sets.h"

namespace cygnet::engine::classifier {
namespace {

constexpr std::size_t kSample = 32;  // rules looked at to choose a dimension

// The dimension, not used yet, in which the fullest place gets the fewest of these rules; kDims if none tells them
// apart.
template <typename V>
[[nodiscard]] unsigned best_dim(std::span<Rule<V>* const> rules, unsigned used) {
  unsigned best = kDims;
  std::size_t fullest_of_best = rules.size();
  std::vector<std::pair<typename V::Key, unsigned>> places;
  for (unsigned dim = 0; dim < kDims; ++dim) {
    if ((used & (1U << dim)) != 0) continue;
    places.clear();
    for (const auto* rule : rules) {
      for (const auto& piece : pieces_of(*rule, static_cast<Dim>(dim))) places.emplace_back(piece.key, piece.length);
    }
    std::ranges::sort(places);
    std::size_t fullest = 0;
    for (std::size_t i = 0, from = 0; i < places.size(); ++i) {
      if (places[i] != places[from]) from = i;
      fullest = std::max(fullest, i - from + 1);
    }
    // Exact pieces are many: they must be worth it.
    const bool better = dim < kKeys ? fullest < fullest_of_best : fullest + fullest / 2 < fullest_of_best;
    if (better) {
      best = dim;
      fullest_of_best = fullest;
    }
  }
  return best;
}

}  // namespace

template <typename V>
auto Classifier<V>::new_set() -> Set* {
  return new (pool_.allocate(sizeof(Set))) Set();
}

template <typename V>
void Classifier<V>::Set::choose_window(std::span<Rule<V>* const> of) {
  std::size_t fewest = SIZE_MAX;
  for (unsigned d = 0; d < static_cast<unsigned>(Dim::kDevice); ++d) {
    const Key reference = key_range_of(*of.front(), static_cast<Dim>(d)).first;
    Key differing = 0;
    for (const auto* rule : of) {
      const auto range = key_range_of(*rule, static_cast<Dim>(d));
      differing |= (range.first ^ reference) | (range.last ^ reference);
    }
    unsigned skip = 0;
    while (skip < kKeyBits<Key> - 8 && (differing >> (kKeyBits<Key> - 1 - skip)) == 0) ++skip;
    std::size_t values = 0;
    for (const auto* rule : of) {
      const auto range = key_range_of(*rule, static_cast<Dim>(d));
      values += window_of(range.last, skip) - window_of(range.first, skip) + 1;
    }
    if (values >= fewest) continue;
    fewest = values;
    window_dim = static_cast<std::uint8_t>(d);
    window_skip = static_cast<std::uint8_t>(skip);
  }
}

template <typename V>
void Classifier<V>::Set::widen(const Rule<V>& rule) {
  const auto range = key_range_of(rule, static_cast<Dim>(window_dim));
  // Bits above the window differ within the rule: any value may be its.
  if (((range.first ^ range.last) & prefix_mask<Key>(window_skip)) != 0) {
    widen_to_all();
    return;
  }
  for (unsigned value = window_of(range.first, window_skip); value <= window_of(range.last, window_skip); ++value) {
    auto& bits = word[1 + value / 64];
    std::atomic_ref(bits).store(bits | (1ULL << (value % 64)), std::memory_order_relaxed);
  }
}

template <typename V>
auto Classifier<V>::few_set(std::span<Rule<V>* const> rules) -> Set* {
  auto* set = new_set();
  set->count = static_cast<std::uint8_t>(rules.size());
  set->choose_window(rules);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto range = key_range_of(*rules[i], static_cast<Dim>(set->window_dim));
    set->low[i] = static_cast<std::uint8_t>(window_of(range.first, set->window_skip));
    set->high[i] = static_cast<std::uint8_t>(window_of(range.last, set->window_skip));
    set->word[i] = word_of(*rules[i]);
  }
  return set;
}

template <typename V>
void Classifier<V>::insert(Rule<V>& rule) {
  if (root_ == 0) {
    auto* set = new_set();
    set->form = Set::Form::kIndexed;
    set->dim = static_cast<std::uint8_t>(Dim::kRemote);
    set->widen_to_all();
    store_word(root_, word_of(set, Kind::kSet, 0));
  }
  references_now_ = 0;
  add_indexed(*target_of<Set>(root_), 1U << static_cast<unsigned>(Dim::kRemote), rule);
  ++rules_;
}

template <typename V>
void Classifier<V>::erase(Rule<V>& rule) {
  if (root_ == 0) return;
  remove(root_, rule);
  --rules_;
}

template <typename V>
void Classifier<V>::add(std::uint64_t& slot, unsigned used, Rule<V>& rule) {
  const std::uint64_t word = slot;
  if (word == 0) {
    ++references_;
    ++references_now_;
    store_word(slot, word_of(rule));
    return;
  }
  const std::uint64_t best = std::min(coarse_of(word), coarse(rule.rank));
  std::array<Rule<V>*, kFlat + 1> rules{};
  std::size_t count = 0;
  if (kind_of(word) == Kind::kRule) {
    rules[count++] = target_of<Rule<V>>(word);
  } else {
    auto& set = *target_of<Set>(word);
    if (set.form != Set::Form::kFew) {
      store_word(slot, word_of(&set, Kind::kSet, best));
      set.form == Set::Form::kIndexed ? add_indexed(set, used | (1U << set.dim), rule)
                                      : add_piled(set, slot, used, rule);
      return;
    }
    for (; count < set.count; ++count) rules[count] = target_of<Rule<V>>(set.word[count]);
  }
  rules[count++] = &rule;
  std::ranges::stable_sort(rules.begin(), rules.begin() + count, {}, [](const Rule<V>* r) { return r->rank; });
  Set* made = nullptr;
  if (count <= kFlat) {
    ++references_;
    ++references_now_;
    made = few_set({rules.data(), count});
  } else {
    references_ -= kFlat;
    const std::span<Rule<V>* const> all(rules.data(), count);
    const unsigned dim = references_now_ > kMaxReferences ? kDims : best_dim<V>(all, used);
    made = dim == kDims ? pile_of(all) : indexed_set(all, used, dim);
  }
  store_word(slot, word_of(made, Kind::kSet, best));
  if (kind_of(word) == Kind::kSet) retire_set(*target_of<Set>(word));
}

template <typename V>
auto Classifier<V>::indexed_set(std::span<Rule<V>* const> rules, unsigned used, unsigned dim) -> Set* {
  auto* set = new_set();
  set->form = Set::Form::kIndexed;
  set->dim = static_cast<std::uint8_t>(dim);
  set->choose_window(rules.first(std::min(rules.size(), kSample)));
  for (auto* rule : rules) add_indexed(*set, used | (1U << dim), *rule);
  return set;
}

// used: with the set's own dimension.
template <typename V>
void Classifier<V>::add_indexed(Set& set, unsigned used, Rule<V>& rule) {
  TrieWriter<Key> trie(pool_, set.word[0]);
  ++set.rules;
  set.widen(rule);
  if (references_now_ > kMaxReferences) {
    // Enough: from here on it stands where every packet comes by.
    rule.loose = true;
    add(trie.insert({}), used, rule);
    return;
  }
  for (const auto& piece : pieces_of(rule, static_cast<Dim>(set.dim))) add(trie.insert(piece), used, rule);
}

template <typename V>
auto Classifier<V>::pile_of(std::span<Rule<V>* const> rules) -> Set* {
  auto* set = new_set();
  set->form = Set::Form::kPile;
  auto* pile = new Pile();
  set->word[0] = reinterpret_cast<std::uint64_t>(pile);
  for (auto* rule : rules) put_in_pile(*pile, *rule);
  set->rules = static_cast<std::uint32_t>(rules.size());
  return set;
}

template <typename V>
void Classifier<V>::add_piled(Set& set, std::uint64_t& slot, unsigned used, Rule<V>& rule) {
  auto& pile = *target_of<Pile>(set.word[0]);
  put_in_pile(pile, rule);
  ++set.rules;
  // Whenever it has doubled: perhaps something tells its rules apart by now.
  if (!std::has_single_bit(set.rules) || references_now_ > kMaxReferences) return;
  std::vector<Rule<V>*> rules;
  const std::size_t step = std::max<std::size_t>(1, pile.order.size() / kSample);
  std::size_t i = 0;
  for (const auto& [rank, entry] : pile.order) {
    if (i++ % step == 0 || entry->rule == &rule) rules.push_back(const_cast<Rule<V>*>(entry->rule));
  }
  const unsigned dim = best_dim<V>(rules, used);
  if (dim == kDims) return;
  rules.clear();
  for (const auto& [rank, entry] : pile.order) rules.push_back(const_cast<Rule<V>*>(entry->rule));
  references_ -= rules.size();
  store_word(slot, word_of(indexed_set(rules, used, dim), Kind::kSet, coarse_of(slot)));
  retire_set(set);
}

template <typename V>
void Classifier<V>::put_in_pile(Pile& pile, Rule<V>& rule) {
  ++references_;
  ++references_now_;
  auto* entry = new typename Pile::Entry();
  entry->rule = &rule;
  const auto at = pile.order.emplace(std::pair{rule.rank, &rule}, entry).first;
  auto& link = at == pile.order.begin() ? pile.first : std::prev(at)->second->next;
  entry->next.store(link.load(std::memory_order_relaxed), std::memory_order_relaxed);
  link.store(entry, std::memory_order_release);
}

template <typename V>
void Classifier<V>::take_from_pile(Pile& pile, Rule<V>& rule) {
  const auto at = pile.order.find(std::pair{rule.rank, static_cast<const Rule<V>*>(&rule)});
  if (at == pile.order.end()) return;
  auto* entry = at->second;
  auto& link = at == pile.order.begin() ? pile.first : std::prev(at)->second->next;
  link.store(entry->next.load(std::memory_order_relaxed), std::memory_order_release);
  pile.order.erase(at);
  --references_;
  pool_.epochs().retire(
      entry, sizeof *entry, [](void*, void* memory, std::size_t) { delete static_cast<typename Pile::Entry*>(memory); },
      nullptr);
}

template <typename V>
void Classifier<V>::remove(std::uint64_t& slot, Rule<V>& rule) {
  const std::uint64_t word = slot;
  if (kind_of(word) == Kind::kRule) {
    if (target_of<Rule<V>>(word) != &rule) return;
    --references_;
    store_word(slot, 0);
    return;
  }
  auto& set = *target_of<Set>(word);
  if (set.form == Set::Form::kFew) {
    std::array<Rule<V>*, kFlat> left{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < set.count; ++i) {
      if (target_of<Rule<V>>(set.word[i]) != &rule) left[count++] = target_of<Rule<V>>(set.word[i]);
    }
    references_ -= set.count - count;
    store_word(slot, count == 1 ? word_of(*left[0])
                                : word_of(few_set({left.data(), count}), Kind::kSet, coarse(left[0]->rank)));
    retire_set(set);
    return;
  }
  bool gone = false;
  if (set.form == Set::Form::kIndexed) {
    remove_indexed(set, rule);
    gone = set.word[0] == 0;
  } else {
    // A loose rule is looked for in piles that it never reached: what is left counts, not how often somebody asked.
    auto& pile = *target_of<Pile>(set.word[0]);
    take_from_pile(pile, rule);
    set.rules = static_cast<std::uint32_t>(pile.order.size());
    gone = pile.order.empty();
  }
  if (!gone) return;
  store_word(slot, 0);
  retire_set(set);
}

template <typename V>
void Classifier<V>::remove_indexed(Set& set, Rule<V>& rule) {
  TrieWriter<Key> trie(pool_, set.word[0]);
  auto pieces = pieces_of(rule, static_cast<Dim>(set.dim));
  if (rule.loose) pieces.push_back({});
  for (const auto& piece : pieces) {
    auto* slot = trie.find(piece);
    if (slot == nullptr) continue;
    remove(*slot, rule);
    if (*slot == 0) trie.erase(piece);
  }
  --set.rules;
}

template <typename V>
void Classifier<V>::retire_set(Set& set) {
  if (set.form == Set::Form::kPile) {
    pool_.epochs().retire(
        target_of<Pile>(set.word[0]), sizeof(Pile),
        [](void*, void* memory, std::size_t) {
          auto* pile = static_cast<Pile*>(memory);
          for (const auto& [rank, entry] : pile->order) delete entry;
          delete pile;
        },
        nullptr);
  }
  pool_.release(&set, sizeof(Set));
}

template <typename V>
void Classifier<V>::drop_word(std::uint64_t word) {
  if (word == 0 || kind_of(word) != Kind::kSet) return;
  auto& set = *target_of<Set>(word);
  if (set.form == Set::Form::kIndexed && set.word[0] != 0) drop_trie(set.word[0], 1);
  retire_set(set);
}

template <typename V>
void Classifier<V>::drop_trie(std::uint64_t block, unsigned count) {
  auto* nodes = nodes_at(block);
  for (unsigned i = 0; i < count; ++i) {
    const auto& node = nodes[i];
    if (Node::is_leaf(node.word[3])) {
      drop_word(node.word[2]);
      continue;
    }
    const unsigned values = ones(node.word[0]);
    for (unsigned k = 0; k < values; ++k) drop_word(values == 1 ? node.word[2] : words_at(node.word[2])[k]);
    if (values > 1) pool_.release(words_at(node.word[2]), values * sizeof(std::uint64_t));
    if (node.word[1] != 0) drop_trie(node.word[3], ones(node.word[1]));
  }
  pool_.release(nodes, count * sizeof(Node));
}

// Readers must be gone.
template <typename V>
void Classifier<V>::clear() {
  drop_word(root_);
  root_ = 0;
  rules_ = 0;
  references_ = 0;
}

template class Classifier<V4>;
template class Classifier<V6>;

}  // namespace cygnet::engine::classifier
