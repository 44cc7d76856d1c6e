// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/deadlines.h"

#include <algorithm>
#include <functional>

namespace cygnet::ike::v2 {

namespace {

constexpr std::size_t kFew = 64;  // entries that it pays not to look at

}  // namespace

void Deadlines::push(IkeSa& sa) {
  sa.scheduled = sa.due;
  if (sa.due == kNever) return;
  heap_.emplace_back(sa.due, sa.local_spi());
  std::ranges::push_heap(heap_, std::greater{});
}

Deadlines::Entry Deadlines::pop() {
  std::ranges::pop_heap(heap_, std::greater{});
  const auto entry = heap_.back();
  heap_.pop_back();
  return entry;
}

IkeSa* Deadlines::first(const Sas& sas) const {
  const auto& [when, spi] = heap_.front();
  const auto* sa = sas.find(spi);
  return sa != nullptr && (*sa)->scheduled == when ? sa->get() : nullptr;
}

void Deadlines::note(IkeSa& sa) {
  if (sa.due < sa.scheduled) push(sa);
}

void Deadlines::tidy(const Sas& sas) {
  while (!heap_.empty()) {
    auto* sa = first(sas);
    if (sa != nullptr && sa->due == sa->scheduled) break;
    (void)pop();
    if (sa != nullptr) push(*sa);
  }
  if (heap_.size() <= 2 * sas.size() + kFew) return;
  heap_.clear();
  for (const auto& slot : sas) {
    const auto& sa = *slot.value;
    if (sa.scheduled != kNever) heap_.emplace_back(sa.scheduled, sa.local_spi());
  }
  std::ranges::make_heap(heap_, std::greater{});
  heap_.shrink_to_fit();
}

std::vector<IkeSpi> Deadlines::take_due(const Sas& sas, Instant now) {
  std::vector<IkeSpi> due;
  while (!heap_.empty() && heap_.front().first <= now) {
    auto* sa = first(sas);
    const auto entry = pop();
    if (sa == nullptr) continue;
    if (sa->due > entry.first) {
      push(*sa);
      continue;
    }
    sa->scheduled = kNever;
    due.push_back(entry.second);
  }
  return due;
}

}  // namespace cygnet::ike::v2
