// SPDX-License-Identifier: Apache-2.0
#include "base/huge_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace cygnet {
namespace {

constexpr std::size_t kLine = 64;

[[nodiscard]] std::size_t rounded(std::size_t octets, std::size_t to) { return (octets + to - 1) / to * to; }

}  // namespace

void* allocate_zeroed(std::size_t octets) {
  if (octets < kHugePage) {
    const std::size_t size = rounded(octets, kLine);
    auto* memory = std::aligned_alloc(kLine, size);
    if (memory == nullptr) std::abort();
    std::memset(memory, 0, size);
    return memory;
  }
  // Fresh pages are zero and come when they are touched: a large table costs no long pause.
  const std::size_t size = rounded(octets, kHugePage);
  void* mapped = ::mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) std::abort();
  auto* first = static_cast<std::byte*>(mapped);
  const std::size_t skip = (kHugePage - reinterpret_cast<std::uintptr_t>(first) % kHugePage) % kHugePage;
  if (skip != 0) (void)::munmap(first, skip);
  if (skip != kHugePage) (void)::munmap(first + skip + size, kHugePage - skip);
#ifdef MADV_HUGEPAGE
  (void)::madvise(first + skip, size, MADV_HUGEPAGE);
#endif
  return first + skip;
}

void free_zeroed(void* memory, std::size_t octets) {
  if (octets < kHugePage) {
    std::free(memory);
  } else {
    (void)::munmap(memory, rounded(octets, kHugePage));
  }
}

}  // namespace cygnet
