// SPDX-License-Identifier: Apache-2.0
#pragma once

// What both halves of IKE_AUTH share (RFC 7296 sections 1.2 and 2.15).
#include <optional>
#include <string>

#include "ike/v2/transitions.h"
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Octets that the initiator (or the responder) signs.
[[nodiscard]] Bytes octets_of(const IkeSa& sa, bool initiator, ByteView id_rest);
[[nodiscard]] auth::PskQuery query_of(const IkeSa& sa, const model::Identity& local, const model::Identity& remote);

// Both ends are proven. `with` says what proved the peer's identity, for people.
void establish(World& world, IkeSa& sa, const std::string& with);
// RFC 7296 section 2.4: INITIAL_CONTACT "asserts that this IKE SA is the only IKE SA currently active between the
// authenticated identities".
[[nodiscard]] bool is_first_contact(const World& world, const IkeSa& sa, const std::optional<model::Identity>& peer);
void forget_older(World& world, IkeSa& fresh);
// uniqueids=: what a new IKE SA of an identity does to one that it has from elsewhere. From the same place it is
// reauthentication, and the peer ends the older one itself.
// Why a new one is refused (keep); empty: it is not.
[[nodiscard]] std::string unique_fault(const World& world, const IkeSa& fresh, bool initial_contact);
// ike-sas-per-identity=: why an identity gets no further IKE SA; empty: it does.
[[nodiscard]] std::string crowd_fault(const World& world, const IkeSa& fresh, bool initial_contact);
void enforce_unique(World& world, IkeSa& fresh, bool initial_contact);
// Both ends initiated at the same time: an IKE SA that has no child which the other one has not is given up by whoever
// began it; of two with the same children, the one with the lower initiator's SPI.
void drop_redundant(World& world, IkeSa& fresh);

}  // namespace cygnet::ike::v2
