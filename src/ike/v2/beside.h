// SPDX-License-Identifier: Apache-2.0
#pragma once

// A new IKE SA beside one that lives on until the new one carries all that it carries: to prove oneself anew (RFC 7296
// section 2.8.3, RFC 4478), and where IKE or ESP of the old one gets no answer. Nothing healthy ends before its
// successor is there.
#include <optional>
#include <string>

#include "ike/v2/negotiate.h"
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

struct Beside {
  std::string why;                   // for people: "to authenticate again"
  bool force_encapsulation = false;  // ESP itself does not get through: try it in UDP
  std::optional<IpAddress> remote;   // another address of the peer
};
// Begins it, with all children of `old`, unless one is on its way already. False: it cannot be begun from here.
bool begin_beside(World& world, IkeSa& old, const Beside& how);
// After each turn of a new IKE SA: the old one goes once nothing is left to be asked for.
void settle_beside(World& world, IkeSa& fresh);
// A new IKE SA ended: if it was to replace another, that one tries again later.
void beside_ended(World& world, const IkeSa& fresh);
// The old IKE SA, or the new one, was rekeyed meanwhile.
void follow_beside(World& world, IkeSa& from, IkeSa& to);

// Has the same peer this child on another IKE SA too, for the same traffic? (Several devices may share an identity.)
[[nodiscard]] bool has_twin(const World& world, const IkeSa& sa, const ChildTerms& terms);
// That child of the other IKE SA; null: there is none.
[[nodiscard]] ChildSa* find_twin(const World& world, const IkeSa& sa, const ChildSa& child);
// The child goes: its twin, if it waited for the peer, is used from here on. True: there is one.
bool use_twin(World& world, const IkeSa& sa, const ChildSa& child);

// ---- AUTH_LIFETIME (RFC 4478)
void add_auth_lifetime(const IkeSa& sa, wire::ike::Payloads& answer);
void read_auth_lifetime(World& world, IkeSa& sa, const wire::ike::Payloads& payloads);

// ---- halves that are dead
// IKE gets no answer, but its children do: they stay, and another IKE SA is tried. False: they do not.
[[nodiscard]] bool outlives_silence(World& world, IkeSa& sa);
// One child receives nothing though we send.
void check_child(World& world, IkeSa& sa, ChildSa& child, Instant last_outbound);
// Asks the data plane when the children were last used.
void ask_usage(World& world, const IkeSa& sa);

}  // namespace cygnet::ike::v2
