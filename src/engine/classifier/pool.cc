// SPDX-License-Identifier: Apache-2.0
#include "engine/classifier/pool.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/huge_memory.h"

namespace cygnet::engine::classifier {
namespace {

constexpr std::size_t kFirstChunk = 4096;

// Units of a piece: small sizes exactly, larger ones in steps of an eighth.
[[nodiscard]] std::size_t class_of(std::size_t octets) {
  const std::size_t units = std::max<std::size_t>(1, (octets + Pool::kUnit - 1) / Pool::kUnit);
  if (units <= 8) return units;
  if (units <= 16) return (units + 1) & ~std::size_t{1};
  if (units <= 32) return (units + 3) & ~std::size_t{3};
  return (units + 7) & ~std::size_t{7};
}

}  // namespace

Pool::~Pool() {
  for (const auto& [memory, size] : chunks_) free_zeroed(memory, size);
}

void Pool::add_chunk() {
  // Small at first: most engines hold a handful of policies.
  const std::size_t size = std::clamp(std::bit_ceil(octets_), kFirstChunk, kHugePage);
  auto* chunk = allocate_zeroed(size);
  chunks_.emplace_back(chunk, size);
  at_ = static_cast<std::byte*>(chunk);
  left_ = size;
  octets_ += size;
}

void* Pool::allocate(std::size_t octets) {
  const std::size_t units = class_of(octets);
  if (auto* piece = free_[units]) {
    free_[units] = piece->next;
    return piece;
  }
  const std::size_t size = units * kUnit;
  if (units % 2 == 0 && left_ % 64 != 0) {
    at_ += kUnit;
    left_ -= kUnit;
  }
  if (left_ < size) add_chunk();
  auto* piece = at_;
  at_ += size;
  left_ -= size;
  return piece;
}

void Pool::take_back(void* pool, void* memory, std::size_t octets) {
  auto& self = *static_cast<Pool*>(pool);
  const std::size_t units = class_of(octets);
  self.free_[units] = new (memory) Free{self.free_[units]};
}

}  // namespace cygnet::engine::classifier
