// SPDX-License-Identifier: Apache-2.0
#include "engine/serving.h"

#include <new>
#include <utility>

namespace cygnet::engine {
namespace {

using classifier::Hit;
using classifier::Query;
using classifier::Rule;
using classifier::V4;
using classifier::V6;

[[nodiscard]] bool accepts(const void* owner, const PacketSelectors& packet, bool) {
  return takes(*static_cast<const OutboundSa*>(owner), packet);
}

template <typename V>
[[nodiscard]] OutboundSa* look_up(const classifier::Classifier<V>& classifier, const PacketSelectors& packet) {
  const auto query = Query<V>::of(packet, classifier::kEveryDevice);
  Hit hit;
  classifier.find({&query, 1}, {&hit, 1});
  return static_cast<OutboundSa*>(const_cast<void*>(hit.owner));
}

template <typename V>
void insert_rules(classifier::Pool& pool, classifier::Classifier<V>& classifier, OutboundSa& sa, Rule<V>*& rules) {
  const classifier::BoxOptions options{.empty_is_all = !sa.spec.paired_selectors, .paired = sa.spec.paired_selectors};
  for (const auto& box : classifier::boxes_of<V>(sa.spec.local_selectors, sa.spec.remote_selectors, options)) {
    auto* rule = new (pool.allocate(sizeof(Rule<V>))) Rule<V>(box);
    // The newest first, those for single threads behind all others.
    rule->rank = (sa.spec.resource ? UINT64_MAX : UINT64_MAX >> 1U) - 1 - sa.serving.age;
    rule->owner = &sa;
    rule->sibling = std::exchange(rules, rule);
    classifier.insert(*rule);
  }
}

template <typename V>
void erase_rules(classifier::Pool& pool, classifier::Classifier<V>& classifier, Rule<V>*& rules) {
  for (auto* rule = std::exchange(rules, nullptr); rule != nullptr;) {
    auto* next = rule->sibling;
    classifier.erase(*rule);
    pool.release(rule, sizeof *rule);
    rule = next;
  }
}

template <typename V>
void hand_over(Rule<V>*& rules, Rule<V>*& to) {
  while (rules != nullptr) {
    auto* next = std::exchange(rules->sibling, to);
    to = std::exchange(rules, next);
  }
}

template <typename V>
void release_rules(classifier::Pool& pool, Rule<V>* rules) {
  while (rules != nullptr) pool.release(std::exchange(rules, rules->sibling), sizeof *rules);
}

}  // namespace

bool takes(const OutboundSa& sa, const PacketSelectors& packet) {
  const auto& spec = sa.spec;
  if (spec.standby || sa.dead) return false;
  // In transport mode the packet's own addresses are the outer ones.
  if (spec.mode == model::Mode::kTransport &&
      (packet.local != spec.local.address || packet.remote != spec.remote.address)) {
    return false;
  }
  if (spec.mode == model::Mode::kBeet && (packet.local != spec.inner_local || packet.remote != spec.inner_remote)) {
    return false;
  }
  return within(packet, spec);
}

Serving::Index::Index(classifier::Pool& of) : pool(of), v4(of, accepts, true), v6(of, accepts, true) {}

Serving::Index::~Index() {
  release_rules(pool, v4_left);
  release_rules(pool, v6_left);
}

Serving::~Serving() {
  if (auto* index = index_.load(std::memory_order_relaxed)) {
    for (auto* sa = newest_; sa != nullptr; sa = sa->serving.older) take_out(*index, *sa);
    delete index;
  }
  delete few_.load(std::memory_order_relaxed);
}

void Serving::put_in(Index& index, OutboundSa& sa) {
  insert_rules(pool_, index.v4, sa, sa.serving.v4_rules);
  insert_rules(pool_, index.v6, sa, sa.serving.v6_rules);
}

void Serving::take_out(Index& index, OutboundSa& sa) {
  erase_rules(pool_, index.v4, sa.serving.v4_rules);
  erase_rules(pool_, index.v6, sa.serving.v6_rules);
}

void Serving::publish_few() {
  auto* few = new Few();
  for (const bool clones : {false, true}) {
    for (auto* sa = newest_; sa != nullptr; sa = sa->serving.older) {
      if (sa->spec.resource.has_value() == clones) few->sa[few->count++] = sa;
    }
  }
  auto* last = few_.exchange(few, std::memory_order_acq_rel);
  if (last == nullptr) return;
  pool_.epochs().retire(
      last, sizeof *last, [](void*, void* memory, std::size_t) { delete static_cast<Few*>(memory); }, nullptr);
}

void Serving::publish_index() {
  auto index = std::make_unique<Index>(pool_);
  for (auto* sa = newest_; sa != nullptr; sa = sa->serving.older) put_in(*index, *sa);
  index_.store(index.release(), std::memory_order_release);
}

void Serving::insert(OutboundSa& sa) {
  sa.serving.age = next_age_++;
  sa.serving.older = newest_;
  sa.serving.newer = nullptr;
  if (newest_ != nullptr) newest_->serving.newer = &sa;
  newest_ = &sa;
  ++count_;
  if (sa.spec.resource) ++clones_;
  if (auto* index = index_.load(std::memory_order_relaxed)) {
    put_in(*index, sa);
  } else if (count_ <= kFew) {
    publish_few();
  } else {
    publish_index();
  }
}

void Serving::erase(OutboundSa& sa) {
  (sa.serving.newer == nullptr ? newest_ : sa.serving.newer->serving.older) = sa.serving.older;
  if (sa.serving.older != nullptr) sa.serving.older->serving.newer = sa.serving.newer;
  --count_;
  if (sa.spec.resource) --clones_;
  auto* index = index_.load(std::memory_order_relaxed);
  if (index == nullptr) {
    publish_few();
    return;
  }
  take_out(*index, sa);
  // Half of what made the index: no change to and fro at its edge.
  if (count_ > kFew / 2) return;
  publish_few();
  index_.store(nullptr, std::memory_order_release);
  for (auto* left = newest_; left != nullptr; left = left->serving.older) {
    hand_over(left->serving.v4_rules, index->v4_left);
    hand_over(left->serving.v6_rules, index->v6_left);
  }
  pool_.epochs().retire(
      index, sizeof *index, [](void*, void* memory, std::size_t) { delete static_cast<Index*>(memory); }, nullptr);
}

OutboundSa* Serving::find(const PacketSelectors& packet) const {
  if (const auto* index = index_.load(std::memory_order_acquire)) {
    if (packet.local.family() != packet.remote.family()) return nullptr;  // no packet is
    return packet.remote.is_v4() ? look_up(index->v4, packet) : look_up(index->v6, packet);
  }
  const auto* few = few_.load(std::memory_order_acquire);
  for (std::size_t i = 0; few != nullptr && i < few->count; ++i) {
    if (takes(*few->sa[i], packet)) return few->sa[i];
  }
  return nullptr;
}

}  // namespace cygnet::engine
