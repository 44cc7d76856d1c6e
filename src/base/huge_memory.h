// SPDX-License-Identifier: Apache-2.0
#pragma once

// Large tables: zeroed memory, in huge pages where the kernel has any, so that a random access costs no page walk.
#include <cstddef>

namespace cygnet {

inline constexpr std::size_t kHugePage = 2U << 20U;

// Zeros, aligned to a cache line, from kHugePage on to a huge page. Without memory the process ends, as with operator
// new.
[[nodiscard]] void* allocate_zeroed(std::size_t octets);
void free_zeroed(void* memory, std::size_t octets);

}  // namespace cygnet
