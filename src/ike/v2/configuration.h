// SPDX-License-Identifier: Apache-2.0
#pragma once

// Configuration payloads in IKE_AUTH (RFC 7296 sections 2.19 and 3.15, RFC 8598): addresses for the initiator, and what
// it must know to use them. Responder and initiator.
#include <optional>

#include "ike/v2/negotiate.h"
#include "wire/ike/configuration_payload.h"

namespace cygnet::ike::v2 {

// ---- initiator
// What we ask for; nothing if the connection wants no address.
[[nodiscard]] std::optional<wire::ike::ConfigurationPayload> ask_for_addresses(const World& world, const IkeSa& sa);
// Takes what the answer assigns: address, DNS servers, domains. A refusal, in words, if there is no usable address.
[[nodiscard]] std::optional<Refusal> take_addresses(World& world, IkeSa& sa, const wire::ike::Payloads& answer);

// ---- responder
// Assigns addresses and adds CP(CFG_REPLY) to the answer. A refusal: the first child must not come up.
[[nodiscard]] std::optional<Refusal> assign_addresses(World& world, IkeSa& sa, const wire::ike::Payloads& request,
                                                      wire::ike::Payloads& answer);

// ---- both
// The IKE SA is over: addresses go back to the pool, or off the device.
void give_addresses_back(World& world, IkeSa& sa);
// After a restart, from the checkpoint.
void claim_addresses(World& world, IkeSa& sa);
// Selectors of an end that has assigned addresses; unset: it has none, what is configured counts.
[[nodiscard]] std::optional<model::TrafficSelectors> assigned_local(const IkeSa& sa,
                                                                    const model::Connection& connection,
                                                                    const model::Child& child);
[[nodiscard]] std::optional<model::TrafficSelectors> assigned_remote(const IkeSa& sa,
                                                                     const model::Connection& connection,
                                                                     const model::Child& child);

}  // namespace cygnet::ike::v2
