// SPDX-License-Identifier: Apache-2.0
#pragma once

// Threads that do nothing but encrypt and decrypt (crypto-threads=), each with no more than its share of a CPU
// (crypto-cpu=). The thread that moves packets hands batches over and fetches them when they are done.
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "crypto/async_cipher.h"
#include "io/waker.h"

namespace cygnet::daemon {

class CryptoPool final : public crypto::AsyncCipher {
 public:
  struct Settings {
    std::uint32_t threads = 1;
    std::uint32_t percent = 0;        // of a CPU, for each thread; 0: all of it
    std::vector<std::uint16_t> cpus;  // the CPU of each; those without one run anywhere
  };
  [[nodiscard]] static Result<std::unique_ptr<CryptoPool>> make(Settings settings);
  ~CryptoPool() override;

  // Starts the threads. The CPUs on which the kernel lets none run.
  [[nodiscard]] std::vector<std::uint16_t> start();
  // Ends them; what was not worked on never comes back.
  void stop();
  [[nodiscard]] std::vector<pthread_t> threads();
  [[nodiscard]] const Settings& settings() const { return settings_; }

  [[nodiscard]] bool submit(crypto::CipherBatch& batch) override;
  [[nodiscard]] std::size_t completed(std::span<crypto::CipherBatch*> done) override;

  // ---- before the thread that moves packets sleeps
  [[nodiscard]] int waker_fd() const { return waker_.fd(); }
  // From now on whatever is done wakes it. False: something is done already, and it should not sleep.
  [[nodiscard]] bool will_sleep();
  void is_awake();
  // Its poller found waker_fd() readable.
  void has_woken() { waker_.clear(); }
  // Until something is done, but not longer.
  void wait(Duration at_most);

 private:
  CryptoPool(Settings settings, io::Waker waker) : settings_(std::move(settings)), waker_(std::move(waker)) {}
  void run();
  [[nodiscard]] crypto::CipherBatch* take();
  void give(crypto::CipherBatch& batch);
  void rest(Duration how_long);

  Settings settings_;
  io::Waker waker_;
  std::mutex to_do_mutex_;
  std::condition_variable more_;
  std::condition_variable ending_;  // for threads that rest: batches are not for them
  std::deque<crypto::CipherBatch*> to_do_;
  bool over_ = false;
  std::mutex done_mutex_;
  std::condition_variable some_done_;
  std::deque<crypto::CipherBatch*> done_;
  std::atomic<bool> sleeping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace cygnet::daemon
