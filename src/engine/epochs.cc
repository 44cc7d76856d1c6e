// SPDX-License-Identifier: Apache-2.0
#include "engine/epochs.h"

#include <algorithm>

namespace cygnet::engine {

Epochs::Reader* Epochs::join() {
  for (std::size_t i = 0; i < kMaxReaders; ++i) {
    auto& reader = readers_[i];
    bool free = false;
    if (!reader.taken_.compare_exchange_strong(free, true)) continue;
    std::size_t joined = joined_.load();
    while (joined < i + 1 && !joined_.compare_exchange_weak(joined, i + 1)) {
    }
    reader.resume();
    return &reader;
  }
  return nullptr;
}

void Epochs::leave(Reader& reader) {
  reader.rest();
  reader.taken_.store(false, std::memory_order_release);
}

std::uint64_t Epochs::oldest_reader() const {
  std::uint64_t oldest = kAway;
  const std::size_t joined = joined_.load(std::memory_order_seq_cst);
  for (std::size_t i = 0; i < joined; ++i) {
    oldest = std::min(oldest, readers_[i].seen_.load(std::memory_order_seq_cst));
  }
  return oldest;
}

void Epochs::retire(void* memory, std::size_t octets, Free free, void* context) {
  // A read-modify-write, so that it is ordered behind the unlinking store.
  if (joined_.fetch_add(0, std::memory_order_seq_cst) == 0) {
    free(context, memory, octets);
    return;
  }
  waiting_.push_back({now_.load(std::memory_order_relaxed), memory, octets, free, context});
}

void Epochs::collect() {
  // Whoever sees the next epoch has also seen what was unlinked in this one. An exchange, so that it is ordered before
  // the look at the readers.
  now_.exchange(now_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
  const std::uint64_t oldest = oldest_reader();
  while (!waiting_.empty() && waiting_.front().epoch < oldest) {
    const Retired piece = waiting_.front();
    waiting_.pop_front();
    piece.free(piece.context, piece.memory, piece.octets);
  }
}

}  // namespace cygnet::engine
