// SPDX-License-Identifier: Apache-2.0
#pragma once

// Agreeing on IP-TFS: the notification USE_AGGFRAG (RFC 9347 section 5.1).
#include <string>

#include "model/connection.h"
#include "wire/ike/message.h"
#include "wire/ike/notify_payload.h"

namespace cygnet::ike::v2 {

// What both ends of a child said, once both have.
struct AggfragTerms {
  bool agreed = false;
  bool not_understood = false;  // the peer speaks of it, in words that are not known here
  bool peer_takes_fragments = true;
  bool peer_wants_reports = false;
};

[[nodiscard]] bool wants_aggfrag(const model::Child& child);
// As it is configured for this child of the connection; not enabled: it is not wanted.
[[nodiscard]] model::IpTfs tfs_config(const model::Connection& connection, const std::string& child);
// Ours, with what we require of the peer.
[[nodiscard]] wire::ike::NotifyPayload use_aggfrag(const model::IpTfs& config);
// The peer's, in a request or an answer. Not agreed: there is none, or it requires what nobody here knows, or reports
// where none are made (the kernel's IP-TFS).
[[nodiscard]] AggfragTerms aggfrag_in(const wire::ike::Payloads& payloads, bool can_report = true);
// Of the peer, where it is not agreed. Behind "the peer …".
[[nodiscard]] std::string why_no_aggfrag(const AggfragTerms& terms);
// With iptfs=require.
[[nodiscard]] std::string aggfrag_missing(const AggfragTerms& terms, const std::string& child, const std::string& peer);
// What the two SAs of the child do.
[[nodiscard]] model::IpTfs inbound_tfs(const model::IpTfs& config, const AggfragTerms& terms);
[[nodiscard]] model::IpTfs outbound_tfs(const model::IpTfs& config, const AggfragTerms& terms);

}  // namespace cygnet::ike::v2
