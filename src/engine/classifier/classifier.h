// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lowest-ranked rule that takes a packet, at a cost that does not grow with the number of rules.
//
// Rules stand in a trie over their remote addresses (a range as one or two prefixes, each at most twice as wide). What
// stands at one prefix is a rule, or up to kFlat rules in order, or, if there are more, a trie over the dimension that
// tells them apart best: local addresses, protocol and remote port, local port, device, then the same ranges in exact
// pieces. Rules that nothing tells apart lie in one list by rank; there the first one that takes the packet is the
// answer. All words carry the best rank below them, so that what cannot win is not looked at. Beside each word that has
// neighbours stands a filter: which values of eight bits of the packets, those that tell most, its rules take; a large
// set has the same more finely. So most rules and sets that do not take a packet are never touched.
//
// A burst is looked up in one go: each step of a packet is a task in a queue that first asks for its memory, so that
// the misses of 64 packets overlap; steps of one kind are taken together.
//
// Worst case: a lookup meets every prefix that takes the packet. With nested prefixes those are at most 33 remote times
// 33 local lengths (129 times 129 for IPv6), 18 port lengths each, whatever the number of rules; policies in use nest
// three or four deep. Overlapping ranges of addresses or ports that no prefix tells apart are cut into at most 64 exact
// pieces, but only where more than kFlat of them meet; more than 64 pieces (some ranges of IPv6 addresses) leave two
// relaxed ones. An insertion makes at most 4 pieces in both address dimensions together, 2 in each of the ports, and 64
// in each exact one, which adversarial sets alone reach; no rule gets more than kMaxReferences places, the rest goes
// into lists.
//
// One thread inserts and erases; others may look up meanwhile (see Epochs): they see a rule that is there before and
// after the change, and one that is being changed either way.
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/classifier/pool.h"
#include "engine/classifier/rule.h"
#include "engine/classifier/trie.h"

namespace cygnet::engine::classifier {

// What is asked of an owner whose box takes the packet, if the rule says whole or the classifier always asks.
using Accept = bool (*)(const void* owner, const PacketSelectors& packet, bool whole);

struct Hit {
  std::uint64_t rank = UINT64_MAX;
  const void* owner = nullptr;  // null: no rule takes the packet
};

inline constexpr std::size_t kBurst = 64;
inline constexpr std::size_t kFlat = 5;

template <typename V>
class Classifier {
 public:
  Classifier(Pool& pool, Accept accept, bool always_ask) : pool_(pool), accept_(accept), always_ask_(always_ask) {}
  Classifier(const Classifier&) = delete;
  Classifier& operator=(const Classifier&) = delete;
  ~Classifier() { clear(); }

  // The rule stays the caller's and where it is until erase() and all readers have moved on. Its rank is below
  // UINT64_MAX.
  void insert(Rule<V>& rule);
  void erase(Rule<V>& rule);
  // Answers to at most kBurst queries.
  void find(std::span<const Query<V>> queries, std::span<Hit> hits) const;
  [[nodiscard]] bool empty() const { return rules_ == 0; }
  [[nodiscard]] std::size_t rules() const { return rules_; }
  // Places that rules have in sets and lists.
  [[nodiscard]] std::size_t references() const { return references_; }
  void clear();

 private:
  template <bool kInstruction>
  class Lookup;
  struct Set;
  struct Pile;
  using Key = typename V::Key;

  static constexpr std::size_t kMaxReferences = 4096;

  [[nodiscard]] static std::uint64_t filter_of(std::uint64_t word, unsigned used);
  [[nodiscard]] TrieWriter<Key> trie_of(std::uint64_t& slot, unsigned used);
  void add(const Place& place, unsigned used, Rule<V>& rule);
  void add(std::uint64_t& slot, unsigned used, Rule<V>& rule);
  void add_indexed(std::uint64_t& slot, unsigned used, Rule<V>& rule);
  void add_piled(std::uint64_t& slot, unsigned used, Rule<V>& rule);
  void remove(std::uint64_t& slot, unsigned used, Rule<V>& rule);
  void remove_indexed(std::uint64_t& slot, unsigned used, Rule<V>& rule);
  [[nodiscard]] Set* new_set();
  [[nodiscard]] Set* few_set(std::span<Rule<V>* const> rules);
  [[nodiscard]] std::uint64_t indexed_set(std::span<Rule<V>* const> rules, unsigned used, unsigned dim,
                                          std::uint64_t best);
  [[nodiscard]] Set* pile_of(std::span<Rule<V>* const> rules);
  void put_in_pile(Pile& pile, Rule<V>& rule);
  void take_from_pile(Pile& pile, Rule<V>& rule);
  void retire_set(Set& set);
  void drop_word(std::uint64_t word);
  void drop_node(const Node& node);

  Pool& pool_;
  Accept accept_;
  bool always_ask_;
  std::uint64_t root_ = 0;  // a set indexed by kRemote
  std::size_t rules_ = 0;
  std::size_t references_ = 0;
  std::size_t references_now_ = 0;  // of the rule being inserted
};

extern template class Classifier<V4>;
extern template class Classifier<V6>;

}  // namespace cygnet::engine::classifier
