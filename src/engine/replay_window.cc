// SPDX-License-Identifier: Apache-2.0
#include "engine/replay_window.h"

#include <algorithm>
#include <bit>

namespace cygnet::engine {

ReplayWindow::ReplayWindow(std::uint32_t size, bool esn)
    : size_(size == 0 ? 0 : std::clamp(size, kMin, kMax)), esn_(esn) {
  if (size_ == 0) return;
  words_ = static_cast<std::uint16_t>(std::bit_ceil((size_ + 63U) / 64U + 1U));
  bits_ = std::make_unique<std::uint64_t[]>(words_);
}

ReplayWindow& ReplayWindow::operator=(const ReplayWindow& other) {
  if (this == &other) return *this;
  size_ = other.size_;
  words_ = other.words_;
  esn_ = other.esn_;
  top_ = other.top_;
  bits_ = other.bits_ == nullptr ? nullptr : std::make_unique<std::uint64_t[]>(words_);
  std::copy_n(other.bits_.get(), words_, bits_.get());
  return *this;
}

std::uint64_t ReplayWindow::infer(std::uint32_t low) const {
  if (!esn_) return low;
  // RFC 4303 appendix A2.1. Without a window half the low space is taken for one, so that loss and disorder both fit.
  const std::uint32_t window = size_ == 0 ? 0x80000000U : size_;
  const auto top_low = static_cast<std::uint32_t>(top_);
  const std::uint64_t top_high = top_ >> 32U;
  const std::uint32_t bottom = top_low - window + 1U;  // modulo 2^32
  std::uint64_t high = top_high;
  if (top_low >= window - 1U) {
    // Case A: the window lies within one subspace.
    if (low < bottom) high = top_high + 1U;
  } else if (low >= bottom) {
    // Case B: the window spans two subspaces, and this belongs to the lower one.
    if (top_high == 0) return 0;
    high = top_high - 1U;
  }
  return (high << 32U) | low;
}

std::uint64_t ReplayWindow::infer_of(std::uint32_t low, unsigned bits) const {
  if (bits >= 32) return infer(low);
  const std::uint64_t cycle = std::uint64_t{1} << bits;
  const std::uint64_t window = size_ == 0 ? cycle / 2 : std::min<std::uint64_t>(size_, cycle / 2);
  const std::uint64_t bottom = top_ >= window ? top_ - window + 1 : 0;
  const std::uint64_t sequence = bottom + ((low - bottom) & (cycle - 1));
  return esn_ || sequence <= UINT32_MAX ? sequence : 0;
}

ReplayWindow::Verdict ReplayWindow::check(std::uint64_t sequence) const {
  // RFC 4303 section 2.2: "The first packet sent using a given SA will contain a sequence number of 1".
  if (sequence == 0) return size_ == 0 && !esn_ ? Verdict::kFresh : Verdict::kOld;
  if (size_ == 0 || sequence > top_) return Verdict::kFresh;
  if (top_ - sequence >= size_) return Verdict::kOld;
  return (bits_[word_of(sequence)] >> (sequence & 63U)) & 1U ? Verdict::kSeen : Verdict::kFresh;
}

ReplayWindow::Verdict ReplayWindow::commit(std::uint64_t sequence) {
  const Verdict verdict = check(sequence);
  if (verdict != Verdict::kFresh) return verdict;
  if (sequence > top_) advance_to(sequence);
  if (size_ != 0) bits_[word_of(sequence)] |= std::uint64_t{1} << (sequence & 63U);
  return verdict;
}

void ReplayWindow::resume(std::uint64_t top) {
  top_ = top;
  if (size_ == 0) return;
  std::fill_n(bits_.get(), words_, ~std::uint64_t{0});
  const auto last = top & 63U;
  bits_[word_of(top)] = last == 63U ? ~std::uint64_t{0} : (std::uint64_t{1} << (last + 1)) - 1;
}

void ReplayWindow::advance_to(std::uint64_t sequence) {
  if (size_ != 0) {
    const std::uint64_t steps = std::min<std::uint64_t>((sequence >> 6U) - (top_ >> 6U), words_);
    for (std::uint64_t i = 1; i <= steps; ++i) bits_[((top_ >> 6U) + i) & (words_ - 1U)] = 0;
  }
  top_ = sequence;
}

}  // namespace cygnet::engine
