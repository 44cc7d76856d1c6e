// SPDX-License-Identifier: Apache-2.0
#pragma once

// Agreeing on Diet-ESP: the notification HCP_PROPOSAL (draft-ietf-ipsecme-ikev2-diet-esp-extension-04).
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +---------------+---------------+-------------------------------+
// |  Proposal ID  |   HCP Name    |        Proposal Length        |   any number of these in a request, one in an
// answer
// +---------------+---------------+-------------------------------+
// |  Attributes, in the form of RFC 7296 section 3.3.5            |
// +---------------------------------------------------------------+
#include <string>

#include "model/connection.h"
#include "model/selection.h"
#include "wire/ike/message.h"
#include "wire/ike/notify_payload.h"

namespace cygnet::ike::v2 {

// What both ends of a child agreed on.
struct DietTerms {
  model::DietEsp use;            // of both its SAs
  std::uint8_t proposal_id = 0;  // the peer's, for the answer
};

[[nodiscard]] bool wants_diet(const model::Child& child);
// As it is configured for this child of the connection; not enabled: it is not wanted.
[[nodiscard]] model::DietEsp diet_config(const model::Connection& connection, const std::string& child);
// What we ask for.
[[nodiscard]] wire::ike::NotifyPayload propose_diet(const model::DietEsp& config);
// Next header and padding can be left out: a cipher without blocks, and networks of one family.
[[nodiscard]] bool goes_with_diet(const model::ChosenEsp& algorithms, const model::TrafficSelectors& local,
                                  const model::TrafficSelectors& remote);
// Responder: the first of the peer's proposals that can be met with as much of the sequence number as is configured, or
// else with less. Not enabled: none, it is not wanted, or this child's cipher or selectors do not go with it.
[[nodiscard]] DietTerms choose_diet(const wire::ike::Payloads& request, const model::Child& child,
                                    const model::ChosenEsp& algorithms, const model::TrafficSelectors& local,
                                    const model::TrafficSelectors& remote);
[[nodiscard]] wire::ike::NotifyPayload accept_diet(const DietTerms& terms);
// Initiator: what the answer says of our proposal. Unset: it says something else than we offered.
[[nodiscard]] std::optional<DietTerms> diet_in_answer(const wire::ike::Payloads& answer, const model::DietEsp& config);

// What a peer does that asks for less of the sequence number than is configured; empty: it does not.
[[nodiscard]] std::string fewer_bits(const model::DietEsp& use, const model::Child& child);

// So many packets out of order are told apart by the octets that are sent.
[[nodiscard]] std::uint32_t window_with(const model::DietEsp& diet, std::uint32_t window);

}  // namespace cygnet::ike::v2
