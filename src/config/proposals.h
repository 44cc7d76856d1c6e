// SPDX-License-Identifier: Apache-2.0
#pragma once

// ike= and esp=, in both spellings:
//   strongSwan  aes256gcm16-prfsha256-x25519,aes256-sha256-modp2048!
//   Libreswan   aes_gcm256-sha2_256;dh19+dh31, aes256-sha2_512+sha2_256-dh14
// The list is what is offered and accepted, nothing is added to it; a trailing '!' says so and is allowed for that
// reason.
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"
#include "model/connection.h"
#include "model/proposal.h"

namespace cygnet::config {

struct ProposalFault {
  Level level = Level::kError;
  std::size_t offset = 0;  // in the value
  std::string message;
  std::string hint;
};
struct ParsedProposals {
  std::vector<model::Proposal> proposals;
  std::vector<ProposalFault> faults;
};

// legacy: weak algorithms too, for clients that can do nothing better.
[[nodiscard]] ParsedProposals parse_ike_proposals(std::string_view text, bool legacy = false);
// ESN transforms only where esn or noesn is written; groups only where they are written.
[[nodiscard]] ParsedProposals parse_esp_proposals(std::string_view text, bool legacy = false);
// ah=: integrity algorithms alone.
[[nodiscard]] ParsedProposals parse_ah_proposals(std::string_view text, bool legacy = false);

[[nodiscard]] std::vector<model::Proposal> default_ike_proposals();
[[nodiscard]] std::vector<model::Proposal> default_esp_proposals();  // without groups and ESN
[[nodiscard]] std::vector<model::Proposal> default_ah_proposals();
// Of connections with profile=: what such clients offer, and what they are best answered with.
[[nodiscard]] std::vector<model::Proposal> profile_ike_proposals(model::Profile profile);
[[nodiscard]] std::vector<model::Proposal> profile_esp_proposals(model::Profile profile);

}  // namespace cygnet::config
