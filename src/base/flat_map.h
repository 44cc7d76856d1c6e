// SPDX-License-Identifier: Apache-2.0
#pragma once

// Hash tables in one piece of memory (open addressing, linear probing): no node for each entry, and about one cache
// miss for each look-up. Keys are numbers other than zero, or strong types of them. Where a peer can choose them, a
// seed that it does not know makes the multiplier: whatever two keys it takes, they meet by chance only.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace cygnet {

template <typename Key, typename Value>
class FlatMap {
 public:
  struct Slot {
    Key key{};  // zero: empty
    [[no_unique_address]] Value value{};
  };

  explicit FlatMap(std::uint64_t seed = 0) : multiplier_(multiplier_of(seed)) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool contains(const Key& key) const { return place_of(key) != kNowhere; }
  // nullptr: not there. Valid until the next insertion or erasure.
  [[nodiscard]] Value* find(const Key& key) {
    const auto at = place_of(key);
    return at == kNowhere ? nullptr : &slots_[at].value;
  }
  [[nodiscard]] const Value* find(const Key& key) const {
    const auto at = place_of(key);
    return at == kNowhere ? nullptr : &slots_[at].value;
  }
  // The entry of this key, and whether it is new. The key must not be zero.
  std::pair<Value*, bool> insert(const Key& key) {
    if (slots_.size() * 3 <= (size_ + 1) * 4) grow();
    auto at = home_of(key);
    for (; word(slots_[at].key) != 0; at = after(at)) {
      if (slots_[at].key == key) return {&slots_[at].value, false};
    }
    slots_[at].key = key;
    ++size_;
    return {&slots_[at].value, true};
  }
  Value& operator[](const Key& key) { return *insert(key).first; }
  // False: it was not there.
  bool erase(const Key& key) {
    auto hole = place_of(key);
    if (hole == kNowhere) return false;
    // Whoever stands behind because this place was taken moves up.
    for (auto at = after(hole); word(slots_[at].key) != 0; at = after(at)) {
      const auto home = home_of(slots_[at].key);
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      slots_[hole] = std::move(slots_[at]);
      hole = at;
    }
    slots_[hole] = Slot{};
    --size_;
    return true;
  }

  // How many slots a look-up of any key that is there looks at, at most.
  [[nodiscard]] std::size_t longest_probe() const {
    std::size_t longest = 0;
    for (std::size_t at = 0; at < slots_.size(); ++at) {
      if (word(slots_[at].key) == 0) continue;
      const auto probe = ((at - home_of(slots_[at].key)) & mask()) + 1;
      longest = probe > longest ? probe : longest;
    }
    return longest;
  }

  // In no order that means anything.
  template <typename SlotType>
  class Iterator {
   public:
    Iterator(SlotType* at, SlotType* end) : at_(at), end_(end) { skip(); }
    SlotType& operator*() const { return *at_; }
    SlotType* operator->() const { return at_; }
    Iterator& operator++() {
      ++at_;
      skip();
      return *this;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    void skip() {
      while (at_ != end_ && word(at_->key) == 0) ++at_;
    }
    SlotType* at_;
    SlotType* end_;
  };
  [[nodiscard]] Iterator<const Slot> begin() const { return {slots_.data(), slots_.data() + slots_.size()}; }
  [[nodiscard]] Iterator<const Slot> end() const {
    return {slots_.data() + slots_.size(), slots_.data() + slots_.size()};
  }

 private:
  static constexpr std::size_t kNowhere = SIZE_MAX;
  static constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

  [[nodiscard]] static std::uint64_t word(const Key& key) {
    if constexpr (requires { key.value; }) {
      return key.value;
    } else {
      return key;
    }
  }
  // Odd.
  [[nodiscard]] static std::uint64_t multiplier_of(std::uint64_t seed) {
    if (seed == 0) return kGolden;
    auto h = seed * kGolden;
    h = (h ^ (h >> 32U)) * 0xbf58476d1ce4e5b9ULL;
    return (h ^ (h >> 29U)) | 1U;
  }
  [[nodiscard]] std::size_t mask() const { return slots_.size() - 1; }
  [[nodiscard]] std::size_t after(std::size_t at) const { return (at + 1) & mask(); }
  [[nodiscard]] std::size_t home_of(const Key& key) const {
    // Twice, because keys in equal steps come out of one multiplication in steps again, and queue up behind each other.
    auto h = word(key) * multiplier_;
    h = (h ^ (h >> 32U)) * kGolden;
    return static_cast<std::size_t>(h >> shift_);
  }
  [[nodiscard]] std::size_t place_of(const Key& key) const {
    if (size_ == 0 || word(key) == 0) return kNowhere;
    for (auto at = home_of(key); word(slots_[at].key) != 0; at = after(at)) {
      if (slots_[at].key == key) return at;
    }
    return kNowhere;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? kLeast : slots_.size() * 2);
    old.swap(slots_);
    shift_ = static_cast<unsigned>(64 - std::countr_zero(slots_.size()));
    for (auto& slot : old) {
      if (word(slot.key) == 0) continue;
      auto at = home_of(slot.key);
      while (word(slots_[at].key) != 0) at = after(at);
      slots_[at] = std::move(slot);
    }
  }

  static constexpr std::size_t kLeast = 4;  // most sets are small
  std::uint64_t multiplier_;
  unsigned shift_ = 63;      // 64 less the binary logarithm of how many slots there are
  std::vector<Slot> slots_;  // a power of two, or none
  std::size_t size_ = 0;
};

struct NoValue {};

template <typename Key>
class FlatSet {
 public:
  [[nodiscard]] std::size_t size() const { return keys_.size(); }
  [[nodiscard]] bool empty() const { return keys_.empty(); }
  [[nodiscard]] bool contains(const Key& key) const { return keys_.contains(key); }
  // False: it was there already. The key must not be zero.
  bool insert(const Key& key) { return keys_.insert(key).second; }
  bool erase(const Key& key) { return keys_.erase(key); }
  // One of them, if there is any.
  [[nodiscard]] Key any() const { return keys_.empty() ? Key{} : keys_.begin()->key; }
  void append_to(std::vector<Key>& out) const {
    for (const auto& slot : keys_) out.push_back(slot.key);
  }

 private:
  FlatMap<Key, NoValue> keys_;
};

}  // namespace cygnet
