// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was asked of engines, and of it what has been acknowledged: one engine answers in order, two do not wait for
// each other. A datagram may leave when everything asked before it is there.
#include <cstdint>
#include <set>

namespace cygnet::daemon {

class Acknowledgements {
 public:
  // Another question: its number, counted from 1.
  [[nodiscard]] std::uint64_t ask() { return ++asked_; }
  [[nodiscard]] std::uint64_t asked() const { return asked_; }
  // Each number once, in any order.
  void acknowledge(std::uint64_t number) {
    early_.insert(number);
    while (!early_.empty() && *early_.begin() == done_ + 1) {
      early_.erase(early_.begin());
      ++done_;
    }
  }
  // Whether all up to this one have come.
  [[nodiscard]] bool has_all_to(std::uint64_t number) const { return number <= done_; }

 private:
  std::uint64_t asked_ = 0;
  std::uint64_t done_ = 0;         // the last before which none is missing
  std::set<std::uint64_t> early_;  // those that came before others
};

}  // namespace cygnet::daemon
