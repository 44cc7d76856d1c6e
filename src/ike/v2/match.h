// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which connection a peer is: by addresses first, by identities once they are known.
#include <optional>
#include <string>
#include <vector>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Connections whose addresses allow this path, the most specific first.
[[nodiscard]] std::vector<ConnectionPtr> by_address(const World& world, const Path& path);
// Can this connection be initiated: is the peer's address known?
[[nodiscard]] bool can_initiate(const model::Connection& connection);
// Where a new IKE SA of ours to this address begins. Unspecified: where the kernel says; the answer tells.
[[nodiscard]] IpAddress local_address_of(const World& world, const model::Connection& connection,
                                         const IpAddress& remote);
// The path of a new IKE SA of ours.
[[nodiscard]] Path path_of(const World& world, const model::Connection& connection);

// The identity we show: the configured one, or our address.
[[nodiscard]] model::Identity own_identity(const model::Connection& connection, const IpAddress& local);
// The same, to a peer that asks for one of our identities (IDr; null: for none): where nobody wrote who we are, any
// that our certificate carries.
[[nodiscard]] model::Identity own_identity(const World& world, const model::Connection& connection,
                                           const IpAddress& local, const model::Identity* asked_for);
// The identity we expect; nothing: any.
[[nodiscard]] std::optional<model::Identity> expected_identity(const model::Connection& connection);
// Whose identity it is: without authentication a name says nothing (RFC 7619 section 2.1), and is nobody's.
[[nodiscard]] model::Identity shown_identity(const model::Identity& claimed, wire::ike::AuthMethodId method);
[[nodiscard]] bool accepts_identity(const model::Connection& connection, const model::Identity& peer);

// Connections for a peer of this identity, by address, and IDr if it sent one. Only those that name it most exactly:
// whose identity has a connection of its own is not let in by the rules for others, whatever algorithms or proofs it
// chooses.
[[nodiscard]] std::vector<ConnectionPtr> naming(const World& world, const IkeSa& sa, const model::Identity& peer,
                                                const model::Identity* asked_for);
// Of these, those that allow the IKE algorithms already chosen.
[[nodiscard]] std::vector<ConnectionPtr> by_identity(const World& world, const IkeSa& sa, const model::Identity& peer,
                                                     const model::Identity* asked_for);
// The same proofs asked of the peer, and the same given: what one connection established the other would have, too.
[[nodiscard]] bool same_rules(const model::Connection& a, const model::Connection& b);
// Connections that may have children on this IKE SA: same peer, same identities, same rules about their proof.
[[nodiscard]] std::vector<ConnectionPtr> sharing(const World& world, const IkeSa& sa);
// An IKE SA that this connection may use, established or on its way; null: a new one is needed.
[[nodiscard]] IkeSa* find_shared_sa(const World& world, const model::Connection& connection);

}  // namespace cygnet::ike::v2
