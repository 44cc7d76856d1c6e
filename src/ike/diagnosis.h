// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sentences for people: what happened, where, and what to do next. Never key material; never sent to a peer.
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "ike/v2/child_sa.h"
#include "model/identity.h"
#include "model/proposal.h"
#include "model/traffic_selector.h"
#include "wire/ike/notify_payload.h"

namespace cygnet::ike::diagnosis {

[[nodiscard]] std::string no_answer(const std::string& peer, unsigned tries, Duration waited, bool on_nat_port);
[[nodiscard]] std::string seconds(Duration d);

// The peer's whole offer beside ours, what differs, and the nearest line to write. Several lines.
// keyword: "ike" or "esp", as in ipsec.conf.
[[nodiscard]] std::string proposal_difference(const std::string& peer, const std::vector<model::Proposal>& offered,
                                              const std::vector<model::Proposal>& accepted, const std::string& keyword,
                                              bool compare_key_exchange);
// The peer took none of our proposals and does not say why.
[[nodiscard]] std::string proposals_refused(const std::string& peer, const std::vector<model::Proposal>& offered,
                                            const std::string& keyword);

struct SelectorPair {
  std::string name;  // connection/child
  model::TrafficSelectors local, remote;
};
// Both sets of selectors, several lines. `theirs` as seen from us.
[[nodiscard]] std::string selectors_do_not_meet(const std::string& peer, const model::TrafficSelectors& local,
                                                const model::TrafficSelectors& remote,
                                                const std::vector<SelectorPair>& ours);
[[nodiscard]] std::string selectors_refused(const std::string& peer, const model::TrafficSelectors& local,
                                            const model::TrafficSelectors& remote);

// We verified, and it does not match: with a PSK there is one likely reason.
[[nodiscard]] std::string keys_differ(const std::string& peer, const model::Identity& local,
                                      const model::Identity& remote, const std::string& secret_source);
// The peer answered AUTHENTICATION_FAILED. proof: what to look at, "compare the pre-shared key …".
[[nodiscard]] std::string refused_by_peer(const std::string& peer, const std::string& proof,
                                          const model::Identity& local, const std::string& remote);
[[nodiscard]] std::string identity_unexpected(const std::string& peer, const model::Identity& shown,
                                              const std::string& expected, const std::string& connection);
// The responder's side: nobody here by these names.
[[nodiscard]] std::string nobody_matches(const std::string& peer, const model::Identity& shown,
                                         const model::Identity* asked_for,
                                         const std::vector<v2::ConnectionPtr>& by_address, const IpAddress& local);
[[nodiscard]] std::string no_connection_for(const Endpoint& local, const Endpoint& remote,
                                            const std::vector<v2::ConnectionPtr>& all);

// Windows, from the range for private use: data is a Windows error number.
inline constexpr auto kMicrosoftStatus = static_cast<wire::ike::NotifyType>(12345);
// What a notification means, in words.
[[nodiscard]] std::string meaning(wire::ike::NotifyType type);
// The same, with what its data says (Windows: an error number).
[[nodiscard]] std::string meaning(const wire::ike::NotifyPayload& notification);

}  // namespace cygnet::ike::diagnosis
