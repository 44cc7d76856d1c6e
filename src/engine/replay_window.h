// SPDX-License-Identifier: Apache-2.0
#pragma once

// Anti-replay window (RFC 4303 section 3.4.3) and the inference of ESN high bits (appendix A).
#include <cstdint>
#include <memory>

namespace cygnet::engine {

class ReplayWindow {
 public:
  enum class Verdict : std::uint8_t { kFresh, kOld, kSeen };
  static constexpr std::uint32_t kMin = 32;
  static constexpr std::uint32_t kMax = 65536;

  // size in packets, brought into [kMin, kMax]; 0: no replay check.
  ReplayWindow(std::uint32_t size, bool esn);

  // The full sequence number of a packet that carries only the low half. Without ESN the low half itself.
  // Nothing fits below zero: then the answer is 0, which check() refuses.
  [[nodiscard]] std::uint64_t infer(std::uint32_t low) const;
  // Of a packet that carries the lowest `bits` only (Diet-ESP): the number nearest to the window that ends so. What is
  // taken for a window is half of what the bits can tell apart at most. 0 as above.
  [[nodiscard]] std::uint64_t infer_of(std::uint32_t low, unsigned bits) const;
  // Before the ICV is verified: may this be a new packet?
  [[nodiscard]] Verdict check(std::uint64_t sequence) const;
  // After the ICV was verified: checks again (packets of one burst may be twins) and, if fresh, marks it as seen.
  [[nodiscard]] Verdict commit(std::uint64_t sequence);

  ReplayWindow(const ReplayWindow& other) { *this = other; }
  ReplayWindow& operator=(const ReplayWindow& other);
  ~ReplayWindow() = default;

  // Goes on behind a number that another engine saw: that and all before it count as seen.
  void resume(std::uint64_t top);

  [[nodiscard]] std::uint64_t top() const { return top_; }  // highest authenticated
  // Where the next packet's mark will most likely be set.
  [[nodiscard]] const void* near_top() const { return bits_ == nullptr ? nullptr : &bits_[word_of(top_ + 1)]; }
  [[nodiscard]] std::uint32_t size() const { return size_; }

 private:
  [[nodiscard]] std::uint64_t word_of(std::uint64_t sequence) const { return (sequence >> 6U) & (words_ - 1U); }
  void advance_to(std::uint64_t sequence);

  std::uint32_t size_ = 0;
  std::uint16_t words_ = 0;  // of bits_: a power of two
  bool esn_ = false;
  std::uint64_t top_ = 0;
  std::unique_ptr<std::uint64_t[]> bits_;  // ring of words, one more than the window needs: sliding clears whole words
};

}  // namespace cygnet::engine
