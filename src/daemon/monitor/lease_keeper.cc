// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/lease_keeper.h"

#include <algorithm>
#include <filesystem>

namespace cygnet::daemon {

namespace {

constexpr Duration kGathering = std::chrono::milliseconds(100);  // one transaction for a burst
constexpr Duration kRetry = std::chrono::seconds(10);

}  // namespace

void LeaseKeeper::open(const std::string& state_dir) {
  path_ = state_dir + "/leases.db";
  std::error_code error;
  std::filesystem::create_directories(state_dir, error);
  auto opened = store::open_lease_store(path_);
  if (opened && !opened->notice.empty()) log_.error("leases", opened->notice);
  auto loaded = opened ? opened->store->load() : std::unexpected(opened.error());
  if (!loaded) {
    log_.error("leases", "cannot keep the addresses of roadwarriors in " + path_ + ": " + loaded.error().message +
                             ". They are remembered until cygnetd ends. Make room, or see that root may write there, "
                             "and restart cygnetd");
    return;
  }
  store_ = std::move(opened->store);
  for (auto& lease : *loaded) leases_.emplace(lease.address, std::move(lease));
}

void LeaseKeeper::on_changes(const LeaseChanges& changes) {
  for (const auto& change : changes.list) {
    const auto& address = change.lease.address;
    if (change.forgotten) {
      leases_.erase(address);
    } else if (leases_.size() < kMost || leases_.contains(address)) {
      leases_[address] = change.lease;
    } else {
      if (!std::exchange(told_full_, true))
        log_.error("leases", "more than " + std::to_string(kMost) + " leases: new ones are not kept across a restart");
      continue;
    }
    if (store_) unsaved_[address] = change;
  }
  if (store_ && !unsaved_.empty() && !std::exchange(timer_runs_, true)) loop_.after(kGathering, [this] { save(); });
}

void LeaseKeeper::save() {
  timer_runs_ = false;
  std::vector<store::LeaseChange> changes;
  changes.reserve(unsaved_.size());
  for (const auto& [address, change] : unsaved_) changes.push_back(change);
  const auto saved = store_->save(changes);
  if (saved) {
    unsaved_.clear();
    if (std::exchange(failing_, false)) log_.notice("leases", "the leases are saved in " + path_ + " again");
    return;
  }
  if (!std::exchange(failing_, true)) {
    log_.error("leases", saved.error().message + " (" + path_ +
                             "). Addresses are given all the same, and remembered in memory until there is room");
  }
  if (!std::exchange(timer_runs_, true)) loop_.after(kRetry, [this] { save(); });
}

std::vector<store::LeaseRecord> LeaseKeeper::leases() const {
  std::vector<store::LeaseRecord> out;
  out.reserve(leases_.size());
  for (const auto& [address, lease] : leases_) out.push_back(lease);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.last_used_s < b.last_used_s; });
  return out;
}

void LeaseKeeper::close() {
  if (store_ && !unsaved_.empty()) save();
  store_.reset();
}

}  // namespace cygnet::daemon
