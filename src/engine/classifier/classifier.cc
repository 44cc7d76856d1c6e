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
    auto& bits = word[value / 128];
    std::atomic_ref(bits).store(bits | (1ULL << (value / 2 % 64)), std::memory_order_relaxed);
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

// The filter of a word at a prefix; used: dimensions in which packets that come there agree already.
template <typename V>
std::uint64_t Classifier<V>::filter_of(std::uint64_t word, unsigned used) {
  if (word == 0) return kNoFilter;
  if (kind_of(word) == Kind::kRule) return filter_of_rule(*target_of<const Rule<V>>(word), used);
  const auto& set = *target_of<const Set>(word);
  if (set.form == Set::Form::kPile) return kNoFilter;
  FilterBits bits;
  if (set.form == Set::Form::kIndexed) {
    for (unsigned i = 0; i < 2; ++i) bits.add_pairs(i, set.word[i]);
  } else {
    for (std::size_t i = 0; i < set.count; ++i) bits.add(set.low[i], set.high[i]);
  }
  return bits.filter(set.window_dim, set.window_skip);
}

template <typename V>
auto Classifier<V>::trie_of(std::uint64_t& slot, unsigned used) -> TrieWriter<Key> {
  static_assert(sizeof(Set) == 2 * sizeof(Node) && offsetof(Set, word) + 2 * sizeof(std::uint64_t) == sizeof(Node));
  return {pool_, slot, &Classifier::filter_of, used};
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
  add_indexed(root_, 1U << static_cast<unsigned>(Dim::kRemote), rule);
  ++rules_;
}

template <typename V>
void Classifier<V>::erase(Rule<V>& rule) {
  if (root_ == 0) return;
  remove(root_, 0, rule);
  --rules_;
}

// The word is there before its filter: readers see the rules that were there through either filter.
template <typename V>
void Classifier<V>::add(const Place& place, unsigned used, Rule<V>& rule) {
  add(*place.word, used, rule);
  if (place.filter != nullptr) store_word(*place.filter, filter_of(*place.word, used));
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
      set.form == Set::Form::kIndexed ? add_indexed(slot, used | (1U << set.dim), rule) : add_piled(slot, used, rule);
      return;
    }
    for (; count < set.count; ++count) rules[count] = target_of<Rule<V>>(set.word[count]);
  }
  rules[count++] = &rule;
  std::ranges::stable_sort(rules.begin(), rules.begin() + count, {}, [](const Rule<V>* r) { return r->rank; });
  std::uint64_t made = 0;
  if (count <= kFlat) {
    ++references_;
    ++references_now_;
    made = word_of(few_set({rules.data(), count}), Kind::kSet, best);
  } else {
    references_ -= kFlat;
    const std::span<Rule<V>* const> all(rules.data(), count);
    const unsigned dim = references_now_ > kMaxReferences ? kDims : best_dim<V>(all, used);
    made = dim == kDims ? word_of(pile_of(all), Kind::kSet, best) : indexed_set(all, used, dim, best);
  }
  store_word(slot, made);
  if (kind_of(word) == Kind::kSet) retire_set(*target_of<Set>(word));
}

// The word of it.
template <typename V>
std::uint64_t Classifier<V>::indexed_set(std::span<Rule<V>* const> rules, unsigned used, unsigned dim,
                                         std::uint64_t best) {
  auto* set = new_set();
  set->form = Set::Form::kIndexed;
  set->dim = static_cast<std::uint8_t>(dim);
  set->choose_window(rules.first(std::min(rules.size(), kSample)));
  auto word = word_of(set, Kind::kSet, best);
  for (auto* rule : rules) add_indexed(word, used | (1U << dim), *rule);
  return word;
}

// slot: of the set, which may be another one afterwards. used: with the set's own dimension.
template <typename V>
void Classifier<V>::add_indexed(std::uint64_t& slot, unsigned used, Rule<V>& rule) {
  auto trie = trie_of(slot, used);
  auto& set = *target_of<Set>(slot);
  const auto dim = static_cast<Dim>(set.dim);
  set.widen(rule);
  if (references_now_ > kMaxReferences) {
    // Enough: from here on it stands where every packet comes by.
    rule.loose = true;
    add(trie.insert({}), used, rule);
    return;
  }
  for (const auto& piece : pieces_of(rule, dim)) add(trie.insert(piece), used, rule);
}

template <typename V>
auto Classifier<V>::pile_of(std::span<Rule<V>* const> rules) -> Set* {
  auto* set = new_set();
  set->form = Set::Form::kPile;
  auto* pile = new Pile();
  set->word[0] = reinterpret_cast<std::uint64_t>(pile);
  for (auto* rule : rules) put_in_pile(*pile, *rule);
  return set;
}

template <typename V>
void Classifier<V>::add_piled(std::uint64_t& slot, unsigned used, Rule<V>& rule) {
  auto& set = *target_of<Set>(slot);
  auto& pile = set.pile();
  put_in_pile(pile, rule);
  // Whenever it has doubled: perhaps something tells its rules apart by now.
  if (!std::has_single_bit(pile.order.size()) || references_now_ > kMaxReferences) return;
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
  store_word(slot, indexed_set(rules, used, dim, coarse_of(slot)));
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
void Classifier<V>::remove(std::uint64_t& slot, unsigned used, Rule<V>& rule) {
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
    remove_indexed(slot, used | (1U << set.dim), rule);
    gone = target_of<Set>(slot)->root().empty();
  } else {
    // A loose rule is looked for in piles that it never reached: what is left counts, not how often somebody asked.
    take_from_pile(set.pile(), rule);
    gone = set.pile().order.empty();
  }
  if (!gone) return;
  auto& last = *target_of<Set>(slot);
  store_word(slot, 0);
  retire_set(last);
}

template <typename V>
void Classifier<V>::remove_indexed(std::uint64_t& slot, unsigned used, Rule<V>& rule) {
  auto trie = trie_of(slot, used);
  auto pieces = pieces_of(rule, static_cast<Dim>(target_of<Set>(slot)->dim));
  if (rule.loose) pieces.push_back({});
  for (const auto& piece : pieces) {
    const auto place = trie.find(piece);
    if (!place) continue;
    remove(*place->word, used, rule);
    if (*place->word == 0) {
      trie.erase(piece);
    } else if (place->filter != nullptr) {
      store_word(*place->filter, filter_of(*place->word, used));
    }
  }
}

template <typename V>
void Classifier<V>::retire_set(Set& set) {
  if (set.form == Set::Form::kPile) {
    pool_.epochs().retire(
        &set.pile(), sizeof(Pile),
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
  if (set.form == Set::Form::kIndexed) drop_node(set.root());
  retire_set(set);
}

// What it refers to.
template <typename V>
void Classifier<V>::drop_node(const Node& node) {
  if (Node::is_leaf(node.word[3])) {
    drop_word(node.word[2]);
    return;
  }
  const unsigned values = ones(node.word[0]);
  for (unsigned k = 0; k < values; ++k) drop_word(values == 1 ? node.word[2] : values_at(node.word[2])[k].word);
  if (values > 1) pool_.release(values_at(node.word[2]), values * sizeof(Value));
  const unsigned children = ones(node.word[1]);
  if (children == 0) return;
  auto* nodes = nodes_at(node.word[3]);
  for (unsigned i = 0; i < children; ++i) drop_node(nodes[i]);
  pool_.release(nodes, children * sizeof(Node));
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
