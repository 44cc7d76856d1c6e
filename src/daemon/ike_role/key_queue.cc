// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/key_queue.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>

#include "daemon/ike_role/key_jobs.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMostHelpers = 2;  // as many as the pool has threads
constexpr std::size_t kWorthWaking = 4;  // quick pieces: a way to another thread and back costs as much as one of them
constexpr std::size_t kMostInARow = 32;  // then others who wait for a thread of the pool have their turn
constexpr std::size_t kResultsTogether = 8;  // as what follows them costs less together

// Some fifty microseconds; anything that comes can wait for as long.
bool quick(const ike::KeyExchangeJob& job) {
  return job.group == model::KeGroup::kX25519 || job.group == model::KeGroup::kEcp256;
}

}  // namespace

// What the threads share.
struct KeyQueue::Shared {
  explicit Shared(io::EventLoop::Callback results_callback) : on_results(std::move(results_callback)) {}

  [[nodiscard]] bool take(bool quick_only, ike::KeyExchangeJob& job) {
    const std::lock_guard lock(mutex);
    if (jobs.empty() || (quick_only && !quick(jobs.front()))) return false;
    job = std::move(jobs.front());
    jobs.pop_front();
    if (!quick(job)) --slow;
    return true;
  }
  // True: the loop does not know yet that there are results.
  bool give(std::vector<ike::JobResult>& some) {
    const std::lock_guard lock(mutex);
    std::ranges::move(some, std::back_inserter(results));
    some.clear();
    return !std::exchange(told, true);
  }

  std::mutex mutex;
  std::deque<ike::KeyExchangeJob> jobs;
  std::size_t slow = 0;  // of these
  std::vector<ike::JobResult> results;
  bool told = false;
  const io::EventLoop::Callback on_results;
};

KeyQueue::KeyQueue(io::EventLoop& loop, io::WorkPool& pool, io::EventLoop::Callback on_results)
    : loop_(loop), pool_(pool), shared_(std::make_shared<Shared>(std::move(on_results))) {}

KeyQueue::~KeyQueue() {
  const std::lock_guard lock(shared_->mutex);
  shared_->jobs.clear();
  shared_->slow = 0;
}

void KeyQueue::start() {
  bool own = false;
  std::size_t wanted = 0;
  {
    const std::lock_guard lock(shared_->mutex);
    auto& jobs = shared_->jobs;
    for (auto& job : fresh_) {
      if (!quick(job)) ++shared_->slow;
      jobs.push_back(std::move(job));
    }
    if (jobs.empty()) return;
    own = quick(jobs.front());
    wanted = shared_->slow + (jobs.size() - shared_->slow) / kWorthWaking;
  }
  fresh_.clear();
  for (; helpers_ < std::min(wanted, kMostHelpers); ++helpers_) add_helper();
  if (own && !helping_) help_soon();
}

// Results that take long, and those before the last, are told at once; the last ones with the end.
void KeyQueue::add_helper() {
  pool_.run(
      [shared = shared_, &loop = loop_] {
        std::vector<ike::JobResult> results;
        ike::KeyExchangeJob job;
        for (std::size_t done = 0; done < kMostInARow && shared->take(false, job); ++done) {
          results.push_back(run_key_job(job));
          if (quick(job) && results.size() < kResultsTogether) continue;
          if (shared->give(results)) loop.post([shared] { shared->on_results(); });
        }
        (void)shared->give(results);
      },
      [this] {
        --helpers_;
        shared_->on_results();
      });
}

void KeyQueue::help_soon() {
  helping_ = true;
  loop_.post([this] { help(); });
}

// One piece at a time, and what has come meanwhile in between.
void KeyQueue::help() {
  helping_ = false;
  ike::KeyExchangeJob job;
  if (shared_->take(true, job)) {
    own_.push_back(run_key_job(job));
    if (own_.size() < kResultsTogether) return help_soon();
  }
  if (!own_.empty()) shared_->on_results();
}

std::vector<ike::JobResult> KeyQueue::take_results() {
  auto all = std::exchange(own_, {});
  const std::lock_guard lock(shared_->mutex);
  std::ranges::move(shared_->results, std::back_inserter(all));
  shared_->results.clear();
  shared_->told = false;
  return all;
}

}  // namespace cygnet::daemon
