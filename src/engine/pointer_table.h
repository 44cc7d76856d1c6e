// SPDX-License-Identifier: Apache-2.0
#pragma once

// A hash table of pointers: four slots to a cache line, filled to three quarters at most. One thread writes, any number
// looks up without waiting. It grows by moving a few lines at each insertion, so that no insertion takes long.
//
// Of says how objects are named: Key; name(key, seed), 32 bits that Of::kExact says are the whole key; is(object, key).
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "base/huge_memory.h"
#include "engine/epochs.h"

namespace cygnet::engine {

[[nodiscard]] inline std::uint64_t mix64(std::uint64_t v) {
  v = (v ^ (v >> 32U)) * 0xd6e8feb86659fd93ULL;
  v = (v ^ (v >> 32U)) * 0xd6e8feb86659fd93ULL;
  return v ^ (v >> 32U);
}

template <typename T, typename Of>
class PointerTable {
 public:
  using Key = typename Of::Key;

  PointerTable(Epochs& epochs, std::uint64_t seed) : epochs_(epochs), seed_(seed | 1U) {
    state_.store(new State{nullptr, new Table(kFirstBuckets)}, std::memory_order_release);
  }
  PointerTable(const PointerTable&) = delete;
  PointerTable& operator=(const PointerTable&) = delete;
  // Readers must be gone.
  ~PointerTable() {
    const auto* state = state_.load(std::memory_order_relaxed);
    delete next_;
    delete state->old;
    delete state->current;
    delete state;
  }

  [[nodiscard]] T* find(const Key& key) const {
    const std::uint32_t name = Of::name(key, seed_);
    const auto* state = state_.load(std::memory_order_acquire);
    if (auto* found = state->current->find(home(name), name, key)) return found;
    return state->old == nullptr ? nullptr : state->old->find(home(name), name, key);
  }
  // Asks for the memory that find() is going to look at.
  void prefetch(const Key& key) const {
    const auto* state = state_.load(std::memory_order_acquire);
    __builtin_prefetch(&state->current->at(home(Of::name(key, seed_))));
  }
  // A burst, at most as many answers as keys.
  void find(std::span<const Key> keys, std::span<T*> found) const {
    constexpr std::size_t kAhead = 32;
    for (std::size_t from = 0; from < keys.size(); from += kAhead) {
      const std::size_t end = std::min(keys.size(), from + kAhead);
      for (std::size_t i = from; i < end; ++i) prefetch(keys[i]);
      for (std::size_t i = from; i < end; ++i) found[i] = find(keys[i]);
    }
  }
  [[nodiscard]] std::size_t size() const { return size_; }

  // The key must not be there yet.
  void insert(const Key& key, T* object) {
    auto* state = state_.load(std::memory_order_relaxed);
    if ((size_ + 1) * 4 > state->current->buckets() * kSlots * 3) state = grow();
    prepare(*state->current);
    const std::uint32_t name = Of::name(key, seed_);
    state->current->insert(home(name), name, object);
    ++size_;
    if (state->old != nullptr) move_some(*state);
  }
  void erase(const Key& key, const T* object) {
    const std::uint32_t name = Of::name(key, seed_);
    auto* state = state_.load(std::memory_order_relaxed);
    bool there = state->current->erase(home(name), name, object);
    if (state->old != nullptr) there |= state->old->erase(home(name), name, object);
    if (there) --size_;
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    const auto* state = state_.load(std::memory_order_acquire);
    state->current->for_each([&](std::uint32_t, T* object) { visit(*object); });
    if (state->old == nullptr) return;
    state->old->for_each([&](std::uint32_t name, T* object) {
      if (!state->current->holds(home(name), name, object)) visit(*object);
    });
  }

 private:
  static constexpr std::size_t kSlots = 4;
  static constexpr std::size_t kFirstBuckets = 4;
  static constexpr std::size_t kMoveAtOnce = 4;

  struct Slot {
    std::atomic<std::uint32_t> name;
    std::atomic<std::uint32_t> passed;  // of the first slot: objects whose home is here or before and that lie behind
    std::atomic<T*> object;
  };
  struct alignas(64) Bucket {
    std::array<Slot, kSlots> slot;
  };
  static_assert(sizeof(Bucket) == 64);

  class Table {
   public:
    explicit Table(std::size_t buckets)
        : buckets_(buckets),
          shift_(64U - static_cast<unsigned>(std::countr_zero(buckets))),
          bucket_(static_cast<Bucket*>(allocate_zeroed(buckets * sizeof(Bucket)))) {}
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;
    ~Table() { free_zeroed(bucket_, buckets_ * sizeof(Bucket)); }

    [[nodiscard]] std::size_t buckets() const { return buckets_; }
    [[nodiscard]] Bucket& at(std::uint64_t hash) const { return bucket_[hash >> shift_]; }

    // Writes to the page at this octet of a table that nobody uses yet.
    void touch(std::size_t octet) {
      bucket_[octet / sizeof(Bucket)].slot[0].passed.store(0, std::memory_order_relaxed);
    }

    [[nodiscard]] T* find(std::uint64_t hash, std::uint32_t name, const Key& key) const {
      for (std::size_t i = hash >> shift_, n = 0; n < buckets_; ++n, i = (i + 1) & (buckets_ - 1)) {
        auto& bucket = bucket_[i];
        for (auto& slot : bucket.slot) {
          if (slot.name.load(std::memory_order_relaxed) != name) continue;
          auto* object = slot.object.load(std::memory_order_acquire);
          if (object == nullptr) continue;
          // The slot may have been given to another object between the two looks at it.
          if (slot.name.load(std::memory_order_relaxed) != name) continue;
          if (Of::kExact || Of::is(*object, key)) return object;
        }
        if (bucket.slot[0].passed.load(std::memory_order_acquire) == 0) return nullptr;
      }
      return nullptr;
    }
    void insert(std::uint64_t hash, std::uint32_t name, T* object) {
      for (std::size_t i = hash >> shift_;; i = (i + 1) & (buckets_ - 1)) {
        for (auto& slot : bucket_[i].slot) {
          if (slot.object.load(std::memory_order_relaxed) != nullptr) continue;
          slot.name.store(name, std::memory_order_relaxed);
          slot.object.store(object, std::memory_order_release);
          return;
        }
        bucket_[i].slot[0].passed.fetch_add(1, std::memory_order_release);
      }
    }
    bool erase(std::uint64_t hash, std::uint32_t name, const T* object) {
      std::size_t i = hash >> shift_;
      Slot* found = nullptr;
      for (std::size_t n = 0; n < buckets_; ++n, i = (i + 1) & (buckets_ - 1)) {
        found = slot_of(bucket_[i], name, object);
        if (found != nullptr) break;
        if (bucket_[i].slot[0].passed.load(std::memory_order_relaxed) == 0) return false;
      }
      if (found == nullptr) return false;
      found->object.store(nullptr, std::memory_order_release);
      for (std::size_t k = hash >> shift_; k != i; k = (k + 1) & (buckets_ - 1)) {
        bucket_[k].slot[0].passed.fetch_sub(1, std::memory_order_release);
      }
      return true;
    }
    [[nodiscard]] bool holds(std::uint64_t hash, std::uint32_t name, const T* object) const {
      for (std::size_t i = hash >> shift_, n = 0; n < buckets_; ++n, i = (i + 1) & (buckets_ - 1)) {
        if (slot_of(bucket_[i], name, object) != nullptr) return true;
        if (bucket_[i].slot[0].passed.load(std::memory_order_relaxed) == 0) return false;
      }
      return false;
    }
    template <typename Visit>
    void for_each(Visit visit) const {
      for (std::size_t i = 0; i < buckets_; ++i) visit_bucket(i, visit);
    }
    template <typename Visit>
    void visit_bucket(std::size_t i, Visit visit) const {
      for (auto& slot : bucket_[i].slot) {
        auto* object = slot.object.load(std::memory_order_acquire);
        if (object != nullptr) visit(slot.name.load(std::memory_order_relaxed), object);
      }
    }

   private:
    [[nodiscard]] static Slot* slot_of(Bucket& bucket, std::uint32_t name, const T* object) {
      for (auto& slot : bucket.slot) {
        if (slot.object.load(std::memory_order_relaxed) == object &&
            slot.name.load(std::memory_order_relaxed) == name) {
          return &slot;
        }
      }
      return nullptr;
    }

    std::size_t buckets_;
    unsigned shift_;
    Bucket* bucket_;
  };

  // While it grows, the old table keeps what it has, so that readers that still know it alone find everything.
  struct State {
    Table* old;
    Table* current;
  };

  [[nodiscard]] std::uint64_t home(std::uint32_t name) const { return mix64(name ^ seed_) * seed_; }

  void publish(State* next) {
    auto* last = state_.exchange(next, std::memory_order_acq_rel);
    epochs_.retire(
        last, sizeof *last, [](void*, void* memory, std::size_t) { delete static_cast<State*>(memory); }, nullptr);
  }
  // The kernel clears a huge page when it is touched first, which takes a while: from five eighths on the next table is
  // there and gets a page at each insertion, so that growing meets none.
  void prepare(const Table& current) {
    if (next_ == nullptr) {
      if ((size_ + 1) * 8 <= current.buckets() * kSlots * 5) return;
      next_ = new Table(current.buckets() * 2);
      touched_ = 0;
    }
    if (touched_ < next_->buckets() * sizeof(Bucket)) {
      next_->touch(touched_);
      touched_ += kHugePage;
    }
  }
  State* grow() {
    auto* state = state_.load(std::memory_order_relaxed);
    while (state->old != nullptr) {
      move_some(*state);
      state = state_.load(std::memory_order_relaxed);
    }
    auto* table = std::exchange(next_, nullptr);
    if (table == nullptr) table = new Table(state->current->buckets() * 2);
    auto* next = new State{state->current, table};
    moved_ = 0;
    publish(next);
    return next;
  }
  void move_some(State& state) {
    auto* old = state.old;
    for (std::size_t n = 0; n < kMoveAtOnce && moved_ < old->buckets(); ++n, ++moved_) {
      old->visit_bucket(moved_,
                        [&](std::uint32_t name, T* object) { state.current->insert(home(name), name, object); });
    }
    if (moved_ < old->buckets()) return;
    publish(new State{nullptr, state.current});
    epochs_.retire(
        old, sizeof *old, [](void*, void* memory, std::size_t) { delete static_cast<Table*>(memory); }, nullptr);
  }

  Epochs& epochs_;
  std::uint64_t seed_;
  std::atomic<State*> state_{nullptr};
  std::size_t size_ = 0;
  std::size_t moved_ = 0;  // buckets of the old table
  Table* next_ = nullptr;  // being prepared
  std::size_t touched_ = 0;
};

}  // namespace cygnet::engine
