// SPDX-License-Identifier: Apache-2.0
#pragma once

// Children that are to come up at a later time, or again, or that wait for their turn: each once, the earliest first.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/time.h"
#include "ike/v2/child_sa.h"

namespace cygnet::ike::v2 {

class RetryQueue {
 public:
  // Replaces what there is for this child.
  void put(ChildWant want, Instant at);
  void drop(const std::string& connection, const std::string& child);
  // Those whose time has come, at most this many; of the same time in the order they were put in.
  [[nodiscard]] std::vector<ChildWant> take_due(Instant now, std::size_t most);
  // All of a connection, or of one child of it, in the order of their names.
  [[nodiscard]] std::vector<ChildWant> take(const std::string& connection, const std::string& child);
  [[nodiscard]] Instant next() const;  // kNever: none
  [[nodiscard]] std::size_t size() const { return by_name_.size(); }
  void clear();

  // Connections are replaced by what they are now, and asked for at once; whoever has none any more is dropped.
  void move(const ConnectionPtr& before, const ConnectionPtr& after, Instant now);
  void keep_if(const std::function<bool(const ChildWant&)>& keep);

 private:
  using Name = std::pair<std::string, std::string>;
  using Turn = std::tuple<Instant, std::uint64_t, Name>;
  struct Entry {
    ChildWant want;
    Instant at{};
    std::uint64_t number = 0;
  };
  void erase(std::map<Name, Entry>::iterator it);

  std::map<Name, Entry> by_name_;
  std::set<Turn> turns_;
  std::uint64_t next_number_ = 0;
};

}  // namespace cygnet::ike::v2
