// SPDX-License-Identifier: Apache-2.0
#pragma once

// A recording data plane: the SA table of one side as IKE's actions leave it, and packets that try it.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ike/actions.h"

namespace cygnet::test {

class DataPlane {
 public:
  struct Entry {
    model::SaSpec spec;
    std::uint64_t order = 0;  // of installation
    Instant installed{};
    Instant last_used{};
  };

  void install(const model::SaSpec& spec, Instant now);
  void remove(const ike::RemoveSa& action);
  void activate(model::ChildId child);
  // The engine removed the child's SAs by itself: a hard limit. Removing them again is no fault.
  void expire(model::ChildId child);
  void update_endpoints(const ike::UpdateChildEndpoints& action);

  // The outbound SA that would carry a packet of this child now: the newest that is not on standby.
  [[nodiscard]] const Entry* outbound(const std::string& connection, const std::string& child) const;
  [[nodiscard]] const Entry* inbound(Spi spi) const;
  [[nodiscard]] const Entry* find(model::ChildId child, model::Direction direction) const;

  // A packet sealed by the peer's SA arrives. True if it opens. `activated` is set if it ends a standby.
  bool receive(const model::SaSpec& sealed_by, Instant now, std::optional<model::ChildId>& activated);
  [[nodiscard]] Instant last_inbound(model::ChildId child) const;
  [[nodiscard]] Instant last_outbound(model::ChildId child) const;
  void note_sent(model::ChildId child, Instant now);

  [[nodiscard]] std::size_t count(model::Direction direction) const;
  [[nodiscard]] std::vector<model::SaSpec> specs() const;
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  void clear() { entries_.clear(); }

  // A process that died between an action and the checkpoint that tells of it did the action, and its successor does
  // not know: doing it again is no fault then.
  bool repeats_allowed = false;
  bool packets_activate = true;  // a packet on the new inbound SA ends the standby of the outbound one
  // What no correct IKE daemon does: removing what is not there, installing an SPI twice, …
  std::vector<std::string> faults;

 private:
  std::vector<Entry> entries_;
  std::uint64_t next_order_ = 1;
};

}  // namespace cygnet::test
