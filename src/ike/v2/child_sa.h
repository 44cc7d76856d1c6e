// SPDX-License-Identifier: Apache-2.0
#pragma once

// A CHILD_SA: a pair of ESP SAs (RFC 7296 section 2.9 and following) and what is needed to rekey it.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/strong.h"
#include "base/time.h"
#include "model/connection.h"
#include "model/proposal.h"
#include "model/sa_spec.h"

namespace cygnet::ike::v2 {

using ConnectionPtr = std::shared_ptr<const model::Connection>;

// Somebody wants this child up: a person, the configuration, or a packet.
struct ChildWant {
  ConnectionPtr connection;
  std::string child;
  // The packet that asked (local, remote), RFC 7296 section 2.9.
  std::optional<std::pair<model::TrafficSelector, model::TrafficSelector>> narrow_to;
  std::optional<std::uint16_t> resource;  // not the child for all threads, but another one for this thread (RFC 9611)
  std::uint32_t tries = 0;                // attempts that failed so far
  bool given_up = false;                  // nobody wants it any more, yet the peer has been asked
  bool keep_trying = false;               // come back after failure though the configuration does not say start
};

enum class ChildState : std::uint8_t {
  kInstalled,
  kRekeyed,   // a newer CHILD_SA took over; waits for the Delete of whoever created that one
  kDeleting,  // our Delete is queued or on its way: outbound is gone, inbound stays until it is answered
  kFading     // deleted; inbound stays a moment for packets still in flight
};

struct ChildSa {
  model::ChildId id;
  ConnectionPtr connection;
  std::string name;
  ChildState state = ChildState::kInstalled;
  Spi spi_in;
  Spi spi_out;
  model::ChosenEsp algorithms;
  model::Mode mode = model::Mode::kTunnel;
  model::TrafficSelectors local;
  model::TrafficSelectors remote;
  // RFC 9611, see ike/v2/clones.h. Of a clone: the thread that it is for.
  std::optional<std::uint16_t> resource;
  bool may_have_clones = false;  // both ends said that they know of it
  std::uint32_t clones = 0;      // that this end keeps up beside it
  Instant clones_at = kNever;    // then they are looked after
  std::uint16_t peer_cpi = 0;    // IPComp is agreed on: what the peer wants to see; ours is cpi_of(spi_in)
  bool udp_encapsulation = false;
  bool we_created = false;
  bool announced_down = false;  // ChildDown was said
  bool outbound_installed = true;
  Instant established{};
  Instant rekey_at = kNever;
  Instant expires_at = kNever;
  Instant activate_at = kNever;  // standby outbound SA: use it from here on at the latest
  Instant remove_at = kNever;    // kFading; kRekeyed: patience with a peer that never deletes
  std::optional<model::ChildId> replaced_by;
  std::uint64_t rekeys = 0;
  Instant last_inbound{};             // as the data plane said last
  Instant moved{};                    // to another path
  Instant unanswered_since = kNever;  // we have sent, and nothing has come since
  unsigned replaced_unheard = 0;      // how often it was replaced because nothing came in while we sent

  [[nodiscard]] const model::Child* config() const;
  // Some packet that it carries: one child may have several SAs, each for a part, and so this one is asked for again.
  [[nodiscard]] std::pair<model::TrafficSelector, model::TrafficSelector> some_packet() const;
  [[nodiscard]] bool usable() const { return state == ChildState::kInstalled; }
  // Is this, in use, that child of that connection? thread: its clone for this one (RFC 9611); none: the one for all.
  [[nodiscard]] bool serves(std::string_view connection_name, std::string_view child_name,
                            std::optional<std::uint16_t> thread = {}) const {
    return usable() && resource == thread && name == child_name && connection->name == connection_name;
  }
};

}  // namespace cygnet::ike::v2
