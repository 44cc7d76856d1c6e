// SPDX-License-Identifier: Apache-2.0
#pragma once

// Requests and responses on the wire: protection, message IDs, retransmission (RFC 7296 sections 2.1 to 2.3).
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// A request of ours after IKE_SA_INIT. There is never more than one on its way, so that any window of the peer is kept
// (RFC 7296 section 2.3: "An IKE endpoint MUST NOT exceed the peer's stated window size").
void send_request(World& world, IkeSa& sa, wire::ike::ExchangeType exchange, const wire::ike::Payloads& payloads);
// The unprotected first request; `bytes` is the whole message.
void send_first_request(World& world, IkeSa& sa, Bytes bytes);
// Answers the peer's request `id` and remembers the answer for retransmissions of the request.
void send_response(World& world, IkeSa& sa, wire::ike::ExchangeType exchange, MessageId id,
                   const wire::ike::Payloads& payloads);
// The same in two steps, for answers that go together with other changes of state.
void prepare_response(World& world, IkeSa& sa, wire::ike::ExchangeType exchange, MessageId id,
                      const wire::ike::Payloads& payloads);
void send_prepared(World& world, IkeSa& sa);
// The same answer once more, to a peer that asked again: RFC 7296 section 2.1. In smaller fragments if these may help.
void send_response_again(World& world, IkeSa& sa, const Path& path);
// One protected request that is not waited for: a last word.
void send_parting(World& world, IkeSa& sa, const wire::ike::Payloads& payloads);
// A message: one datagram, or its fragments.
void send_all(World& world, const Path& path, const std::vector<Bytes>& datagrams);
// The answer to `outstanding` has come.
void request_answered(World& world, IkeSa& sa);
// Sends it again, or gives up: false.
[[nodiscard]] bool retransmit(World& world, IkeSa& sa);

[[nodiscard]] wire::ike::NotifyPayload notify(wire::ike::NotifyType type, Bytes data = {});
[[nodiscard]] wire::ike::NotifyPayload notify_child(wire::ike::NotifyType type, Spi spi,
                                                    model::Protocol protocol = model::Protocol::kEsp);

}  // namespace cygnet::ike::v2
