// SPDX-License-Identifier: Apache-2.0

// Diffie-Hellman, and the memory that a storm of it leaves behind.
#include <malloc.h>

#include "daemon/ike_role/ike_process.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kStorm = 100;  // pieces of work that leave enough behind for tidying up
constexpr Duration kCalm = std::chrono::milliseconds(400);

}  // namespace

void IkeProcess::perform(ike::KeyExchangeJob&& action) { key_queue_.add(std::move(action)); }

void IkeProcess::take_key_results() {
  const auto results = key_queue_.take_results();
  if (ending_) return;
  for (const auto& result : results) endpoint_->on_job_done(clock_.monotonic(), result);
  const bool planned = key_jobs_done_ >= kStorm;
  key_jobs_done_ += results.size();
  if (!planned && key_jobs_done_ >= kStorm) loop_.after(kCalm, [this] { give_memory_back(); });
}

void IkeProcess::give_memory_back() {
  if (std::exchange(key_jobs_seen_, key_jobs_done_) != key_jobs_done_) {
    loop_.after(kCalm, [this] { give_memory_back(); });
    return;
  }
  key_jobs_done_ = key_jobs_seen_ = 0;
  // Two lists of actions, one here and one at the endpoint, have room for a storm, and nothing in them after this.
  pump();
  actions_ = {};
  for (auto& action : endpoint_->take_actions()) std::visit([this](auto& a) { perform(std::move(a)); }, action);
  pump_soon();
  (void)::malloc_trim(0);
}

}  // namespace cygnet::daemon
