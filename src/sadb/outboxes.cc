// SPDX-License-Identifier: Apache-2.0
#include "sadb/outboxes.h"

#include <algorithm>
#include <utility>

namespace cygnet::sadb {

std::optional<Outboxes::ClientId> Outboxes::open(std::string who) {
  if (boxes_.size() >= kMostClients) {
    ++turned_away_;
    log_.warning(subject_,
                 who + " was turned away: " + std::to_string(kMostClients) + " clients are connected already");
    return std::nullopt;
  }
  const auto id = next_++;
  boxes_[id].who = std::move(who);
  ++accepted_;
  return id;
}

void Outboxes::close(ClientId id) {
  const auto it = boxes_.find(id);
  if (it == boxes_.end()) return;
  waiting_in_all_ -= it->second.waiting.size();
  boxes_.erase(it);
}

bool Outboxes::is_open(ClientId id) const {
  const auto it = boxes_.find(id);
  return it != boxes_.end() && !it->second.cut_off;
}

std::string Outboxes::who(ClientId id) const {
  const auto it = boxes_.find(id);
  return it == boxes_.end() ? std::string("a client that is gone") : it->second.who;
}

void Outboxes::put(ClientId id, Shared message) {
  const auto it = boxes_.find(id);
  if (it == boxes_.end() || it->second.cut_off) return;
  auto& box = it->second;
  box.octets += message->size();
  box.waiting.push_back(std::move(message));
  ++waiting_in_all_;
  if (box.waiting.size() > kMostWaiting || box.octets > kMostWaitingOctets) {
    cut_off(id, box, std::to_string(box.waiting.size()) + " messages wait for it");
    return;
  }
  if (waiting_in_all_ <= kMostWaitingInAll) return;
  auto& [slowest_id, slowest] =
      *std::ranges::max_element(boxes_, {}, [](const auto& entry) { return entry.second.waiting.size(); });
  cut_off(slowest_id, slowest,
          "it reads the slowest, and more than " + std::to_string(kMostWaitingInAll) +
              " messages wait for all clients together");
}

void Outboxes::cut_off(ClientId id, Box& box, const std::string& why) {
  box.cut_off = true;
  ++cut_off_ever_;
  log_.warning(subject_, box.who + " does not read what it is told and is cut off: " + why);
  waiting_in_all_ -= box.waiting.size();
  box.waiting.clear();
  box.octets = 0;
  cut_off_.push_back(id);
}

Outboxes::Shared Outboxes::front(ClientId id) const {
  const auto it = boxes_.find(id);
  return it == boxes_.end() || it->second.waiting.empty() ? nullptr : it->second.waiting.front();
}

void Outboxes::pop(ClientId id) {
  const auto it = boxes_.find(id);
  if (it == boxes_.end() || it->second.waiting.empty()) return;
  it->second.octets -= it->second.waiting.front()->size();
  it->second.waiting.pop_front();
  --waiting_in_all_;
}

bool Outboxes::takes_requests(ClientId id) const {
  const auto it = boxes_.find(id);
  return it != boxes_.end() && it->second.octets < kUnreadOctets;
}

std::vector<Outboxes::ClientId> Outboxes::take_cut_off() { return std::exchange(cut_off_, {}); }

Outboxes::Shared Outboxes::share(Bytes bytes) {
  return {new Bytes(std::move(bytes)), [](Bytes* shared) {
            wipe(*shared);
            delete shared;
          }};
}

}  // namespace cygnet::sadb
