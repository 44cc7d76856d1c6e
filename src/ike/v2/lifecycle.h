// SPDX-License-Identifier: Apache-2.0
#pragma once

// Beginnings and ends: children that are wanted, tried again, taken down; IKE SAs that end and what follows.
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// What follows the end of an IKE SA or a child.
enum class Aftermath : std::uint8_t {
  kForget,        // somebody wanted it so
  kKeepUp,        // children with start=kStart come back
  kPeerDead,      // as kKeepUp, and dpd_action counts
  kPeerRestarted  // as kPeerDead, but the peer is there: at once
};

// Brings a child up: on an IKE SA that is there or on its way, or on a new one. Ends in exactly one InitiationDone.
void want_child(World& world, ChildWant want);
void want_succeeded(World& world, const ChildWant& want, const std::string& message);
// Tries again later if the configuration says so.
void want_failed(World& world, ChildWant want, const std::string& message, bool may_retry = true);
// Schedules an attempt; replaces an earlier one for the same child.
void try_later(World& world, ChildWant want, Duration delay);
// The retries that are due; and when the next one is.
void run_retries(World& world);
[[nodiscard]] Instant next_retry(const World& world);

// A new IKE SA of ours, with this first child; null: it cannot be begun, and the want has failed.
IkeSa* begin_ike_sa(World& world, ChildWant want);

// Takes both SAs out of the data plane and says so. The ChildSa is gone afterwards.
void remove_child(World& world, IkeSa& sa, model::ChildId id, const std::string& reason, bool replaced);
// As above, but packets on their way to us may still arrive for a moment.
void fade_child(World& world, IkeSa& sa, ChildSa& child, const std::string& reason, bool replaced);
void remove_outbound(World& world, ChildSa& child);
void announce_down(World& world, ChildSa& child, const std::string& reason, bool replaced);
void activate(World& world, IkeSa& sa, ChildSa& child);
// After the loss of one child (the IKE SA lives on).
void after_child_loss(World& world, const ChildSa& child, Aftermath aftermath);

// Responder: the peer has not proven yet who it is.
[[nodiscard]] bool is_half_open(const IkeSa& sa);

// The IKE SA is over: children, wants, checkpoint. It is removed when the turn ends.
void end_sa(World& world, IkeSa& sa, const std::string& reason, Aftermath aftermath, bool replaced = false);
// Deletes it with the peer; children leave the data plane at once.
void delete_ike_sa(World& world, IkeSa& sa, const std::string& reason, Aftermath aftermath);
// The Delete itself, once nothing else is on its way.
void send_ike_delete(World& world, IkeSa& sa);
// The peer has forgotten the one IKE SA and begun the other. Its data plane may not have forgotten: children of the old
// one receive a moment longer under the new one.
void hand_over_to_afresh(World& world, IkeSa& old, IkeSa& fresh, const std::string& reason);
// All children and unanswered wants go from one IKE SA to its successor.
void inherit(World& world, IkeSa& from, IkeSa& to);

// Starts the next queued request if nothing is on its way.
void start_next_task(World& world, IkeSa& sa);

}  // namespace cygnet::ike::v2
