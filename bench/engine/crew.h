// SPDX-License-Identifier: Apache-2.0
#pragma once

// The further cores of a case: threads that do one round of work each time the first core does.
#include <barrier>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace cygnet::bench {

class Crew {
 public:
  // round(i) is what thread i does, 0 <= i < threads.
  Crew(std::size_t threads, std::function<void(std::size_t)> round)
      : round_(std::move(round)), gate_(static_cast<std::ptrdiff_t>(threads) + 1) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() {
    leaving_ = true;
    if (!threads_.empty()) gate_.arrive_and_wait();
    for (auto& thread : threads_) thread.join();
  }
  void start_round() {
    if (!threads_.empty()) gate_.arrive_and_wait();
  }
  void end_round() {
    if (!threads_.empty()) gate_.arrive_and_wait();
  }

 private:
  void work(std::size_t i) {
    for (;;) {
      gate_.arrive_and_wait();
      if (leaving_) return;
      round_(i);
      gate_.arrive_and_wait();
    }
  }

  std::function<void(std::size_t)> round_;
  std::barrier<> gate_;
  bool leaving_ = false;  // written before the gate opens, read behind it
  std::vector<std::thread> threads_;
};

}  // namespace cygnet::bench
