// SPDX-License-Identifier: Apache-2.0
#pragma once

// Several CHILD_SAs of one kind, each for one thread (RFC 9611). The first child is for all threads: the head. Whoever
// made it asks for clones of it, as many as clones= says, each with a number of its own in SA_RESOURCE_INFO; the peer
// takes so many and then says TS_MAX_QUEUE. Clones are rekeyed, closed and counted as other children are; they come and
// go with their head and nobody asks for them by name.
#include <cstdint>
#include <optional>

#include "ike/v2/negotiate.h"

namespace cygnet::ike::v2 {

// What is taken of a peer where clones= says nothing.
inline constexpr std::uint32_t kClonesOfPeers = 16;

[[nodiscard]] bool wants_clones(const model::Child& child);
[[nodiscard]] std::uint32_t most_clones(const World& world, const model::Connection& connection,
                                        const model::Child& child);
// None: of a head.
[[nodiscard]] wire::ike::NotifyPayload resource_info(std::optional<std::uint16_t> resource);
[[nodiscard]] bool says_resource_info(const wire::ike::Payloads& payloads);

// The child for all threads beside which this one is wanted; null: it is gone.
[[nodiscard]] ChildSa* find_head(const IkeSa& sa, const ChildWant& want);

// Responder, a new child: whether it is a clone, and of which thread; what is refused.
[[nodiscard]] std::optional<Refusal> admit_clone(const World& world, const IkeSa& sa,
                                                 const wire::ike::Payloads& request, ChildTerms& terms);
// Initiator: a clone must have what its head has.
[[nodiscard]] std::optional<Refusal> differs_from_head(const IkeSa& sa, const Task& task, const ChildTerms& terms);
// Our request for a clone, whose task is under way, was refused for good.
void clone_refused(World& world, IkeSa& sa, const wire::ike::NotifyPayload& error);

// A child is being installed: new, or in place of an older one.
void plan_clones(World& world, const IkeSa& sa, ChildSa& child, const ChildTerms& terms, bool we_made_it);
void take_over_clones(ChildSa& child, const ChildSa& old);
// At clones_at of a head: those that are missing.
void ask_for_clones(World& world, IkeSa& sa, ChildSa& head);
// A child is gone, and not replaced: its clones go with it.
void close_orphans(World& world, IkeSa& sa, const ChildSa& lost);

}  // namespace cygnet::ike::v2
