// SPDX-License-Identifier: Apache-2.0
#pragma once

// Small pieces of memory out of large ones (2 MiB, in huge pages where the kernel has any), in size classes. One thread
// allocates and releases; what is released is used again once no reader holds it (Epochs).
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/epochs.h"

namespace cygnet::engine::classifier {

class Pool {
 public:
  explicit Pool(Epochs& epochs) : epochs_(epochs) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  static constexpr std::size_t kUnit = 32;
  static constexpr std::size_t kLargest = 64 * kUnit;
  // At most kLargest octets, aligned to kUnit; sizes that are multiples of 64 to 64.
  [[nodiscard]] void* allocate(std::size_t octets);
  // What allocate(octets) gave.
  void release(void* memory, std::size_t octets) { epochs_.retire(memory, octets, &Pool::take_back, this); }
  // Memory taken from the system.
  [[nodiscard]] std::size_t octets() const { return octets_; }
  [[nodiscard]] Epochs& epochs() { return epochs_; }

 private:
  struct Free {
    Free* next;
  };
  static void take_back(void* pool, void* memory, std::size_t octets);
  void add_chunk();

  Epochs& epochs_;
  std::array<Free*, 64 + 1> free_{};  // by class
  std::vector<std::pair<void*, std::size_t>> chunks_;
  std::byte* at_ = nullptr;
  std::size_t left_ = 0;
  std::size_t octets_ = 0;
};

}  // namespace cygnet::engine::classifier
