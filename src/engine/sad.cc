// SPDX-License-Identifier: Apache-2.0
#include "engine/sad.h"

#include <algorithm>
#include <utility>

namespace cygnet::engine {

Sad::Sad(Epochs* epochs, std::uint64_t seed, FlowRegions* regions)
    : own_epochs_(epochs == nullptr ? std::make_unique<Epochs>() : nullptr),
      epochs_(epochs == nullptr ? *own_epochs_ : *epochs),
      regions_(regions),
      pool_(epochs_),
      inbound_by_spi_(epochs_, seed),
      inbound_by_child_(epochs_, seed),
      outbound_by_child_(epochs_, seed),
      outbound_by_spi_(epochs_, seed),
      serving_(epochs_, seed) {}

Sad::~Sad() {
  // The lists first: they lead through the SAs.
  serving_.for_each([](Serving& serving) { delete &serving; });
  inbound_by_spi_.for_each([](InboundSa& sa) { delete &sa; });
  outbound_by_child_.for_each([](OutboundSa& sa) { delete &sa; });
  epochs_.collect();
}

// What was remembered of flows that this SA may take.
void Sad::tell(const OutboundSa& sa) {
  if (regions_ != nullptr) regions_->touch(sa.spec.remote_selectors);
}

template <typename T>
void Sad::discard(T& object) {
  epochs_.retire(
      &object, sizeof object, [](void*, void* memory, std::size_t) { delete static_cast<T*>(memory); }, nullptr);
}

void Sad::find_inbound(std::span<const Spi> spis, std::span<InboundSa*> found) const {
  inbound_by_spi_.find(spis, found);
  for (const auto* sa : found.first(spis.size())) {
    if (sa != nullptr) prefetch_sa(sa);
  }
}

bool is_superseded(const OutboundSa& sa) {
  for (const auto* newer = sa.serving.newer; newer != nullptr; newer = newer->serving.newer) {
    if (!newer->dead && !newer->spec.standby && newer->spec.remote == sa.spec.remote &&
        newer->spec.remote_selectors == sa.spec.remote_selectors &&
        newer->spec.local_selectors == sa.spec.local_selectors) {
      return true;
    }
  }
  return false;
}

// A clone and what it is a clone of, or two clones of one.
bool is_of_one_kind(const OutboundSa& a, const OutboundSa& b) {
  return a.spec.remote == b.spec.remote && a.spec.mode == b.spec.mode && a.spec.connection == b.spec.connection &&
         a.spec.local_selectors == b.spec.local_selectors && a.spec.remote_selectors == b.spec.remote_selectors;
}

bool same_keys(const model::SaSpec& a, const model::SaSpec& b) {
  return constant_time_equal(a.encryption_key, b.encryption_key) &&
         constant_time_equal(a.integrity_key, b.integrity_key);
}

InboundSa& Sad::insert(std::unique_ptr<InboundSa> sa) {
  epochs_.tend();
  if (auto* same_spi = find_inbound(sa->spec.spi)) erase(*same_spi);
  if (auto* same_child = inbound_of(sa->spec.child)) erase(*same_child);
  auto& inserted = *sa.release();
  inserted.sibling = outbound_of(inserted.spec.child);
  inbound_by_child_.insert(inserted.spec.child, &inserted);
  inbound_by_spi_.insert(inserted.spec.spi, &inserted);
  return inserted;
}

void Sad::erase(InboundSa& sa) {
  inbound_by_spi_.erase(sa.spec.spi, &sa);
  inbound_by_child_.erase(sa.spec.child, &sa);
  discard(sa);
}

OutboundSa& Sad::insert(std::unique_ptr<OutboundSa> sa) {
  epochs_.tend();
  const OutboundName name{sa->spec.spi, sa->spec.remote.address};
  // Two SAs must not seal under one key. One that shares the SPI alone is somebody else's.
  if (auto* twin = find_twin(sa->spec)) erase(*twin);
  if (auto* same_child = outbound_of(sa->spec.child)) erase(*same_child);
  auto& inserted = *sa.release();
  outbound_by_spi_.insert(name, &inserted);
  outbound_by_child_.insert(inserted.spec.child, &inserted);
  auto* serving = serving_.find(inserted.spec.policy);
  if (serving == nullptr) {
    serving = new Serving(pool_, inserted.spec.policy);
    serving_.insert(inserted.spec.policy, serving);
  }
  serving->insert(inserted);
  link_clones(inserted);
  tell(inserted);
  if (auto* inbound = inbound_of(inserted.spec.child)) inbound->sibling = &inserted;
  return inserted;
}

void Sad::erase(OutboundSa& sa) {
  if (auto* inbound = inbound_of(sa.spec.child)) inbound->sibling = nullptr;
  outbound_by_spi_.erase({sa.spec.spi, sa.spec.remote.address}, &sa);
  outbound_by_child_.erase(sa.spec.child, &sa);
  if (auto* serving = serving_.find(sa.spec.policy)) {
    serving->erase(sa);
    if (serving->empty()) {
      serving_.erase(sa.spec.policy, serving);
      discard(*serving);
    }
  }
  link_clones(sa);
  tell(sa);
  discard(sa);
}

void Sad::move_outbound(OutboundSa& sa, const Endpoint& local, const Endpoint& remote) {
  outbound_by_spi_.erase({sa.spec.spi, sa.spec.remote.address}, &sa);
  sa.spec.local = local;
  sa.spec.remote = remote;
  outbound_by_spi_.insert({sa.spec.spi, remote.address}, &sa);
  link_all_clones(sa.spec.policy);
  tell(sa);
}

void Sad::spread_clones(std::size_t threads) {
  threads_ = threads;
  serving_.for_each([this](Serving& serving) { link_all_clones(serving.policy()); });
}

void Sad::link_clones(const OutboundSa& changed) {
  const auto* serving = serving_.find(changed.spec.policy);
  if (serving == nullptr || (serving->clones() == 0 && !changed.spec.resource)) return;
  for (auto* sa = serving->newest(); sa != nullptr; sa = sa->serving.older) {
    if (is_of_one_kind(*sa, changed)) link_clones_of(*serving, *sa);
  }
}

void Sad::link_all_clones(model::PolicyId policy) {
  const auto* serving = serving_.find(policy);
  if (serving == nullptr || serving->clones() == 0) return;
  for (auto* sa = serving->newest(); sa != nullptr; sa = sa->serving.older) link_clones_of(*serving, *sa);
}

// The newest of each thread's.
void Sad::link_clones_of(const Serving& serving, OutboundSa& head) const {
  if (head.spec.resource) return;
  ClonesOfSa clones;
  bool any = false;
  for (auto* sa = serving.newest(); threads_ > 1 && sa != nullptr; sa = sa->serving.older) {
    if (!sa->spec.resource || sa->dead || sa->spec.standby || !is_of_one_kind(*sa, head)) continue;
    auto& place = clones.of_thread[*sa->spec.resource % threads_];
    if (place == nullptr) place = sa;
    any = true;
  }
  head.has_clones = any;
  head.clones = any ? std::make_unique<ClonesOfSa>(clones) : nullptr;
}

void Sad::for_each_serving(model::PolicyId policy, const std::function<void(OutboundSa&)>& visit) const {
  const auto* serving = serving_.find(policy);
  for (auto* sa = serving == nullptr ? nullptr : serving->newest(); sa != nullptr; sa = sa->serving.older) visit(*sa);
}

void Sad::for_each_inbound(const std::function<void(InboundSa&)>& visit) const { inbound_by_spi_.for_each(visit); }

void Sad::for_each_outbound(const std::function<void(OutboundSa&)>& visit) const { outbound_by_child_.for_each(visit); }

}  // namespace cygnet::engine
