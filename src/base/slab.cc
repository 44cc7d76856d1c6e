// SPDX-License-Identifier: Apache-2.0
#include "base/slab.h"

#include <algorithm>

#include "base/huge_memory.h"

namespace cygnet {

namespace {

constexpr std::size_t kLine = 64;

}  // namespace

Slab::Slab(std::size_t object_octets) : octets_((object_octets + kLine - 1) / kLine * kLine) {}

Slab::~Slab() {
  for (const auto& chunk : chunks_) free_zeroed(chunk.memory, chunk.octets);
}

void* Slab::allocate() {
  const std::scoped_lock lock(mutex_);
  if (free_ != nullptr) {
    auto* object = free_;
    free_ = object->next;
    return object;
  }
  if (left_ < octets_) {
    // Few objects take little memory; from the sixth chunk on it is whole huge pages.
    left_ = std::max(chunk_, octets_);
    at_ = static_cast<std::byte*>(allocate_zeroed(left_));
    chunks_.push_back({at_, left_});
    chunk_ = std::min(chunk_ * 2, 2 * kHugePage);
  }
  auto* object = at_;
  at_ += octets_;
  left_ -= octets_;
  return object;
}

void Slab::release(void* object) {
  if (object == nullptr) return;
  const std::scoped_lock lock(mutex_);
  auto* freed = static_cast<Free*>(object);
  freed->next = free_;
  free_ = freed;
}

}  // namespace cygnet
