// SPDX-License-Identifier: Apache-2.0
#include "engine/sad.h"

#include <algorithm>
#include <utility>

namespace cygnet::engine {

OutboundSa* Sad::find_outbound(Spi spi, const IpAddress& remote) const {
  const auto it = outbound_by_spi_.find({spi, remote});
  return it == outbound_by_spi_.end() ? nullptr : it->second;
}

InboundSa* Sad::inbound_of(model::ChildId child) const {
  const auto it = inbound_by_child_.find(child);
  return it == inbound_by_child_.end() ? nullptr : it->second;
}

OutboundSa* Sad::outbound_of(model::ChildId child) const {
  const auto it = outbound_.find(child);
  return it == outbound_.end() ? nullptr : it->second.get();
}

const std::vector<OutboundSa*>& Sad::serving(model::PolicyId policy) const {
  static const std::vector<OutboundSa*> kNone;
  const auto it = serving_.find(policy);
  return it == serving_.end() ? kNone : it->second;
}

InboundSa& Sad::insert(std::unique_ptr<InboundSa> sa) {
  if (auto* same_spi = find_inbound(sa->spec.spi)) erase(*same_spi);
  if (auto* same_child = inbound_of(sa->spec.child)) erase(*same_child);
  if ((inbound_count_ + 1) * 2 > slots_.size()) grow();
  auto& inserted = *sa;
  inserted.sibling = outbound_of(sa->spec.child);
  inbound_by_child_[sa->spec.child] = sa.get();
  place(std::move(sa));
  ++inbound_count_;
  return inserted;
}

void Sad::place(std::unique_ptr<InboundSa> sa) {
  std::size_t i = home(sa->spec.spi);
  while (slots_[i] != nullptr) i = (i + 1) & (slots_.size() - 1);
  slots_[i] = std::move(sa);
}

void Sad::grow() {
  std::vector<std::unique_ptr<InboundSa>> old(slots_.size() * 2);
  old.swap(slots_);
  for (auto& sa : old) {
    if (sa != nullptr) place(std::move(sa));
  }
}

void Sad::erase(InboundSa& sa) {
  inbound_by_child_.erase(sa.spec.child);
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = home(sa.spec.spi);
  while (slots_[hole].get() != &sa) hole = (hole + 1) & mask;
  slots_[hole].reset();
  --inbound_count_;
  // Close the gap: whoever would not be found any more because of it moves into it.
  for (std::size_t i = (hole + 1) & mask; slots_[i] != nullptr; i = (i + 1) & mask) {
    const std::size_t wanted = home(slots_[i]->spec.spi);
    if (((i - wanted) & mask) >= ((i - hole) & mask)) {
      slots_[hole] = std::move(slots_[i]);
      hole = i;
    }
  }
}

OutboundSa& Sad::insert(std::unique_ptr<OutboundSa> sa) {
  const OutboundKey key{sa->spec.spi, sa->spec.remote.address};
  if (auto* same_spi = find_outbound(key.spi, key.remote)) erase(*same_spi);
  if (auto* same_child = outbound_of(sa->spec.child)) erase(*same_child);
  auto& inserted = *sa;
  outbound_by_spi_[key] = sa.get();
  serving_[sa->spec.policy].push_back(sa.get());
  if (auto* inbound = inbound_of(sa->spec.child)) inbound->sibling = sa.get();
  outbound_[sa->spec.child] = std::move(sa);
  return inserted;
}

void Sad::erase(OutboundSa& sa) {
  if (auto* inbound = inbound_of(sa.spec.child)) inbound->sibling = nullptr;
  outbound_by_spi_.erase({sa.spec.spi, sa.spec.remote.address});
  const auto served = serving_.find(sa.spec.policy);
  if (served != serving_.end()) {
    std::erase(served->second, &sa);
    if (served->second.empty()) serving_.erase(served);
  }
  outbound_.erase(model::ChildId{sa.spec.child});
}

void Sad::move_outbound(OutboundSa& sa, const Endpoint& local, const Endpoint& remote) {
  const OutboundKey key{sa.spec.spi, remote.address};
  if (auto* other = find_outbound(key.spi, key.remote); other != nullptr && other != &sa) erase(*other);
  outbound_by_spi_.erase({sa.spec.spi, sa.spec.remote.address});
  sa.spec.local = local;
  sa.spec.remote = remote;
  outbound_by_spi_[key] = &sa;
}

void Sad::for_each_inbound(const std::function<void(InboundSa&)>& visit) const {
  for (const auto& sa : slots_) {
    if (sa != nullptr) visit(*sa);
  }
}

void Sad::for_each_outbound(const std::function<void(OutboundSa&)>& visit) const {
  for (const auto& [child, sa] : outbound_) visit(*sa);
}

}  // namespace cygnet::engine
