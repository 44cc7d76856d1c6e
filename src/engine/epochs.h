// SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory that readers on other threads may still be looking at is freed only after each of them has said that it holds
// nothing any more (quiescent-state reclamation). One thread writes; readers never wait and never write to shared lines
// but their own. Without readers everything is freed at once.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace cygnet::engine {

class Epochs {
 public:
  // What a reader thread holds between join() and leave(); each on a cache line of its own.
  class alignas(64) Reader {
   public:
    // Nothing found before this call is used after it. Between bursts.
    void quiescent() { seen_.store(epochs_->now_.load(std::memory_order_acquire), std::memory_order_release); }
    // The thread is about to wait for something and looks at nothing meanwhile; resume() before it looks.
    void rest() { seen_.store(kAway, std::memory_order_release); }
    void resume() {
      // Exchange, because the store must be seen before anything is looked up.
      seen_.exchange(epochs_->now_.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    }

   private:
    friend class Epochs;
    std::atomic<std::uint64_t> seen_{kAway};
    std::atomic<bool> taken_{false};
    Epochs* epochs_ = nullptr;
  };
  static constexpr std::size_t kMaxReaders = 64;
  using Free = void (*)(void* context, void* memory, std::size_t octets);

  Epochs() {
    for (auto& reader : readers_) reader.epochs_ = this;
  }
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;
  // No reader may be left.
  ~Epochs() { collect(); }

  // A place for one reader thread, or null if all are taken. From any thread.
  [[nodiscard]] Reader* join();
  void leave(Reader& reader);

  // The writer unlinked this memory; free() gets it once no reader can hold it.
  void retire(void* memory, std::size_t octets, Free free, void* context);
  // Before a change, when all earlier ones are complete and told to whoever keeps pointers: frees now and then.
  void tend() {
    if (waiting_.size() >= kCollectFrom) collect();
  }
  // Frees what may be freed.
  void collect();
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

 private:
  static constexpr std::uint64_t kAway = UINT64_MAX;
  static constexpr std::size_t kCollectFrom = 64;  // waiting pieces worth a look at the readers
  struct Retired {
    std::uint64_t epoch;
    void* memory;
    std::size_t octets;
    Free free;
    void* context;
  };

  [[nodiscard]] std::uint64_t oldest_reader() const;

  std::array<Reader, kMaxReaders> readers_;
  alignas(64) std::atomic<std::uint64_t> now_{1};
  std::atomic<std::size_t> joined_{0};  // readers that ever joined: places beyond were never used
  std::deque<Retired> waiting_;
};

}  // namespace cygnet::engine
