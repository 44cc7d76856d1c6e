// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/crypto_pool.h"

#include <algorithm>

#include "daemon/engine_role/cpu_share.h"
#include "daemon/engine_role/worker.h"
#include "io/clock.h"
#include "io/cpu_time.h"

namespace cygnet::daemon {

Result<std::unique_ptr<CryptoPool>> CryptoPool::make(Settings settings) {
  auto waker = io::Waker::make();
  if (!waker) return std::unexpected(waker.error());
  return std::unique_ptr<CryptoPool>(new CryptoPool(std::move(settings), std::move(*waker)));
}

CryptoPool::~CryptoPool() { stop(); }

std::vector<std::uint16_t> CryptoPool::start() {
  std::vector<std::uint16_t> refused;
  for (std::uint32_t i = 0; i < settings_.threads; ++i) {
    auto& thread = threads_.emplace_back([this] { run(); });
    if (i >= settings_.cpus.size()) continue;
    if (!run_only_on(thread.native_handle(), settings_.cpus[i])) refused.push_back(settings_.cpus[i]);
  }
  return refused;
}

void CryptoPool::stop() {
  {
    const std::lock_guard hold(to_do_mutex_);
    over_ = true;
  }
  more_.notify_all();
  ending_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

std::vector<pthread_t> CryptoPool::threads() {
  std::vector<pthread_t> all;
  all.reserve(threads_.size());
  for (auto& thread : threads_) all.push_back(thread.native_handle());
  return all;
}

// There is room for whatever may be under way: engine::Flights bounds that.
bool CryptoPool::submit(crypto::CipherBatch& batch) {
  {
    const std::lock_guard hold(to_do_mutex_);
    to_do_.push_back(&batch);
  }
  more_.notify_one();
  return true;
}

std::size_t CryptoPool::completed(std::span<crypto::CipherBatch*> done) {
  const std::lock_guard hold(done_mutex_);
  const std::size_t count = std::min(done.size(), done_.size());
  std::copy_n(done_.begin(), count, done.begin());
  done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

bool CryptoPool::will_sleep() {
  sleeping_.store(true);
  const std::lock_guard hold(done_mutex_);
  return done_.empty();
}

void CryptoPool::is_awake() { sleeping_.store(false); }

void CryptoPool::wait(Duration at_most) {
  std::unique_lock hold(done_mutex_);
  (void)some_done_.wait_for(hold, at_most, [this] { return !done_.empty(); });
}

crypto::CipherBatch* CryptoPool::take() {
  std::unique_lock hold(to_do_mutex_);
  more_.wait(hold, [this] { return over_ || !to_do_.empty(); });
  if (over_) return nullptr;
  auto* batch = to_do_.front();
  to_do_.pop_front();
  return batch;
}

void CryptoPool::give(crypto::CipherBatch& batch) {
  {
    const std::lock_guard hold(done_mutex_);
    done_.push_back(&batch);
  }
  some_done_.notify_one();
  if (sleeping_.exchange(false)) waker_.wake();
}

// Unless all is over.
void CryptoPool::rest(Duration how_long) {
  std::unique_lock hold(to_do_mutex_);
  (void)ending_.wait_for(hold, how_long, [this] { return over_; });
}

void CryptoPool::run() {
  CpuShare share(settings_.percent);
  while (auto* batch = take()) {
    crypto::work_on(*batch);
    give(*batch);
    if (settings_.percent == 0) continue;
    if (const auto pause = share.rest_after(io::SystemClock::now(), io::cpu_time_of(::pthread_self()));
        pause > Duration{}) {
      rest(pause);
    }
  }
}

}  // namespace cygnet::daemon
