// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/path_memory.h"

#include <algorithm>
#include <cstring>

namespace cygnet::daemon {

std::size_t BoundedPathMemory::FirstOctets::operator()(const Bytes& fingerprint) const {
  std::size_t out = 0;
  std::memcpy(&out, fingerprint.data(), std::min(sizeof out, fingerprint.size()));
  return out;
}

std::optional<crypto::Certificate> BoundedPathMemory::find(const Bytes& fingerprint) const {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(fingerprint);
  if (it == entries_.end()) return std::nullopt;
  it->second.asked_for = true;
  return it->second.certificate;
}

bool BoundedPathMemory::knows_signature(const crypto::Certificate& subject, const crypto::Certificate& issuer) const {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(subject.fingerprint());
  if (it == entries_.end()) return false;
  it->second.asked_for = true;
  return std::ranges::find(it->second.signed_by, issuer.fingerprint()) != it->second.signed_by.end();
}

void BoundedPathMemory::keep(const std::vector<crypto::Certificate>& path) {
  const std::scoped_lock lock(mutex_);
  // The anchor is in the configuration anyway.
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    const auto [it, fresh] = entries_.try_emplace(path[i].fingerprint(), Entry{path[i], {}});
    auto& issuers = it->second.signed_by;
    const auto& issuer = path[i + 1].fingerprint();
    if (issuers.size() < kMaxIssuers && std::ranges::find(issuers, issuer) == issuers.end()) issuers.push_back(issuer);
    if (!fresh) continue;
    order_.push_back(path[i].fingerprint());
    octets_ += path[i].der().size();
  }
  while (entries_.size() > kMaxCertificates || octets_ > kMaxOctets) make_room();
}

void BoundedPathMemory::make_room() {
  auto next = std::move(order_.front());
  order_.pop_front();
  const auto it = entries_.find(next);
  if (std::exchange(it->second.asked_for, false)) {
    order_.push_back(std::move(next));  // once more, if nobody asks for it until then
    return;
  }
  octets_ -= it->second.certificate.der().size();
  entries_.erase(it);
}

std::size_t BoundedPathMemory::size() const {
  const std::scoped_lock lock(mutex_);
  return entries_.size();
}

std::size_t BoundedPathMemory::octets() const {
  const std::scoped_lock lock(mutex_);
  return octets_;
}

}  // namespace cygnet::daemon
