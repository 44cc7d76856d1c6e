// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses that change under an IKE SA: MOBIKE (RFC 4555), and what is left to do for a peer without it.
#include <vector>

#include "ike/v2/transitions.h"

namespace cygnet::ike::v2 {

// May MOBIKE be offered or taken? RFC 4555 is about "IKEv2 and tunnel mode" SAs alone.
[[nodiscard]] bool wants_mobike(const IkeSa& sa);

// IKE_AUTH. Appends MOBIKE_SUPPORTED and our other addresses: to a request if the connection allows it, to a response
// if the peer said it too (RFC 4555 section 3.1).
void add_mobike_support(World& world, const IkeSa& sa, wire::ike::Payloads& payloads);
// Reads the peer's; call before add_mobike_support() of a response.
void read_mobike_support(IkeSa& sa, const wire::ike::Payloads& payloads);

// The addresses this machine has now. IKE SAs whose local address is gone move to another one.
void on_local_addresses(World& world, std::vector<IpAddress> addresses);
// The configuration has another local address than before (a default route that moved): prefer that one.
void prefer_local_address(World& world, IkeSa& sa, const IpAddress& address);

// Encapsulated ESP of a MOBIKE peer came from there: its children follow, the IKE SA waits for the peer's word.
void move_esp(World& world, IkeSa& sa, const Endpoint& remote);

// The IKE SA and its children take this path.
void set_path(World& world, IkeSa& sa, const Path& path);
// Where the next retransmission goes: the path in use, then every other pair of addresses in turn.
[[nodiscard]] Path retransmission_path(const World& world, const IkeSa& sa);
// The peer answered here. An initiator that was looking for a path has found one.
void note_answer_path(World& world, IkeSa& sa, const Path& path);

// Our own requests: UPDATE_SA_ADDRESSES (initiator), other addresses (responder), COOKIE2; and a sign of life that
// shows whether a NAT changed.
void send_address_update(World& world, IkeSa& sa);
void send_routability_check(World& world, IkeSa& sa);
[[nodiscard]] wire::ike::Payloads liveness_payloads(World& world, const IkeSa& sa);
void on_address_update_answered(Turn& turn, const Task& task);
void on_routability_answered(Turn& turn);
void on_liveness_answered(Turn& turn);

// The MOBIKE part of an INFORMATIONAL request of the peer. Appends to the answer.
void on_mobike_request(Turn& turn, wire::ike::Payloads& answer);

}  // namespace cygnet::ike::v2
