// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/retry_queue.h"

#include <iterator>

namespace cygnet::ike::v2 {

void RetryQueue::put(ChildWant want, Instant at) {
  Name name{want.connection->name, want.child};
  if (const auto known = by_name_.find(name); known != by_name_.end()) erase(known);
  const auto number = next_number_++;
  turns_.emplace(at, number, name);
  by_name_.emplace(std::move(name), Entry{std::move(want), at, number});
}

void RetryQueue::erase(std::map<Name, Entry>::iterator it) {
  turns_.erase({it->second.at, it->second.number, it->first});
  by_name_.erase(it);
}

void RetryQueue::drop(const std::string& connection, const std::string& child) {
  if (by_name_.empty()) return;
  if (const auto known = by_name_.find({connection, child}); known != by_name_.end()) erase(known);
}

std::vector<ChildWant> RetryQueue::take_due(Instant now, std::size_t most) {
  std::vector<ChildWant> due;
  while (due.size() < most && next() <= now) {
    const auto it = by_name_.find(std::get<Name>(*turns_.begin()));
    due.push_back(std::move(it->second.want));
    turns_.erase(turns_.begin());
    by_name_.erase(it);
  }
  return due;
}

std::vector<ChildWant> RetryQueue::take(const std::string& connection, const std::string& child) {
  std::vector<ChildWant> taken;
  for (auto it = by_name_.lower_bound({connection, child}); it != by_name_.end() && it->first.first == connection;) {
    if (!child.empty() && it->first.second != child) break;
    taken.push_back(std::move(it->second.want));
    erase(it++);
  }
  return taken;
}

Instant RetryQueue::next() const { return turns_.empty() ? kNever : std::get<Instant>(*turns_.begin()); }

void RetryQueue::clear() {
  by_name_.clear();
  turns_.clear();
}

void RetryQueue::move(const ConnectionPtr& before, const ConnectionPtr& after, Instant now) {
  for (auto it = by_name_.lower_bound({before->name, ""}); it != by_name_.end() && it->first.first == before->name;
       ++it) {
    auto& entry = it->second;
    if (entry.want.connection != before) continue;
    entry.want.connection = after;
    turns_.erase({entry.at, entry.number, it->first});
    entry.at = now;
    turns_.emplace(entry.at, entry.number, it->first);
  }
}

void RetryQueue::keep_if(const std::function<bool(const ChildWant&)>& keep) {
  for (auto it = by_name_.begin(); it != by_name_.end();) {
    const auto next = std::next(it);
    if (!keep(it->second.want)) erase(it);
    it = next;
  }
}

}  // namespace cygnet::ike::v2
