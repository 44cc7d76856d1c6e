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
  for (auto& lease : *loaded) {
    identity_octets_ += lease.peer.data.size();
    const auto address = lease.address;
    leases_.emplace(address, Kept{std::move(lease), true});
  }
}

void LeaseKeeper::on_changes(const LeaseChanges& changes) {
  for (const auto& change : changes.list) {
    if (change.forgotten) {
      forget(change.lease);
    } else {
      keep(change.lease);
    }
  }
  if (store_ && !unsaved_.empty() && !std::exchange(timer_runs_, true)) loop_.after(kGathering, [this] { save(); });
}

void LeaseKeeper::keep(const store::LeaseRecord& lease) {
  const auto known = leases_.find(lease.address);
  const auto before = known == leases_.end() ? 0 : known->second.lease.peer.data.size();
  const auto octets = identity_octets_ - before + lease.peer.data.size();
  if ((known == leases_.end() && leases_.size() >= kMost) || octets > kMostIdentityOctets) {
    if (!std::exchange(told_full_, true))
      log_.error("leases", "more than " + std::to_string(kMost) + " leases, or " + std::to_string(kMostIdentityOctets) +
                               " octets of identities: new ones are not kept across a restart");
    return;
  }
  identity_octets_ = octets;
  auto& kept = leases_[lease.address];
  kept.lease = lease;
  if (!store_) return;
  const auto [unsaved, fresh] = unsaved_.try_emplace(lease.address);
  // Forgotten, and not yet taken out of the file.
  kept.stored = kept.stored || (!fresh && unsaved->second.forgotten);
  unsaved->second = {lease, false};
}

// What never was in the file need not be taken out of it.
void LeaseKeeper::forget(const store::LeaseRecord& lease) {
  const auto known = leases_.find(lease.address);
  if (known == leases_.end()) return;
  identity_octets_ -= known->second.lease.peer.data.size();
  if (known->second.stored) {
    unsaved_[lease.address] = {lease, true};
  } else {
    unsaved_.erase(lease.address);
  }
  leases_.erase(known);
}

void LeaseKeeper::save() {
  timer_runs_ = false;
  std::vector<store::LeaseChange> changes;
  changes.reserve(unsaved_.size());
  for (const auto& [address, change] : unsaved_) changes.push_back(change);
  const auto saved = store_->save(changes);
  if (saved) {
    for (const auto& [address, change] : std::exchange(unsaved_, {})) {
      if (const auto kept = leases_.find(address); kept != leases_.end()) kept->second.stored = true;
    }
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
  for (const auto& [address, kept] : leases_) out.push_back(kept.lease);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.last_used_s < b.last_used_s; });
  return out;
}

void LeaseKeeper::close() {
  if (store_ && !unsaved_.empty()) {
    timer_runs_ = true;  // it ends here: nothing is tried again
    save();
    if (!unsaved_.empty())
      log_.error("leases", std::to_string(unsaved_.size()) +
                               " changes of leases are lost: their peers may get other "
                               "addresses after the next start");
  }
  store_.reset();
}

}  // namespace cygnet::daemon
