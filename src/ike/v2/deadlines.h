// SPDX-License-Identifier: Apache-2.0
#pragma once

// When which IKE SA has something to do: a heap in one piece of memory. A deadline that moves back, as most do when an
// answer comes, touches nothing here: the entry stays where it is and is put right when its time is near. What an entry
// is worth stands in the IKE SA: `scheduled` is its entry's time, `due` the true one, never before that.
#include <utility>
#include <vector>

#include "base/flat_map.h"
#include "base/time.h"
#include "ike/v2/ike_sa.h"

namespace cygnet::ike::v2 {

class Deadlines {
 public:
  using Sas = FlatMap<IkeSpi, std::unique_ptr<IkeSa>>;

  // sa.due is set; sa.scheduled is this class's alone.
  void note(IkeSa& sa);
  // After changes, before next(): the first entry tells the truth, and what is of no use any more is bounded.
  void tidy(const Sas& sas);
  // kNever: none.
  [[nodiscard]] Instant next() const { return heap_.empty() ? kNever : heap_.front().first; }
  // Takes out all that are due, in the order of their deadlines. Whoever is served must be noted again.
  [[nodiscard]] std::vector<IkeSpi> take_due(const Sas& sas, Instant now);
  [[nodiscard]] std::size_t entries() const { return heap_.size(); }

 private:
  using Entry = std::pair<Instant, IkeSpi>;
  void push(IkeSa& sa);
  [[nodiscard]] Entry pop();
  // The IKE SA that the first entry stands for: null if for none any more.
  [[nodiscard]] IkeSa* first(const Sas& sas) const;

  std::vector<Entry> heap_;
};

}  // namespace cygnet::ike::v2
