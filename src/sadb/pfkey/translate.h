// SPDX-License-Identifier: Apache-2.0
#pragma once

// From PF_KEY's SAs and policies to what the engine takes.
#include "sadb/pfkey/algorithms.h"
#include "sadb/pfkey/policy_table.h"
#include "sadb/pfkey/sa_table.h"
#include "sadb/pfkey/stack.h"

namespace cygnet::sadb {

// Whether the engine can carry it at all; the reason if not.
[[nodiscard]] PfkeyResult<> check_sa(const PfkeySa& sa);
[[nodiscard]] PfkeyResult<> check_policy(const PfkeyPolicy& policy);

// One direction of a sound SA. Lifetimes count what was used up before.
[[nodiscard]] model::SaSpec sa_spec_of(const PfkeySa& sa, model::Direction direction, Instant now);

[[nodiscard]] model::Mode mode_of(const PfkeySa& sa);
// What policies say of the SA comes into its specification.
void apply(const PfkeyTerms& terms, model::SaSpec& spec);

// Both sides of what a policy is for, seen from here.
struct PfkeyTraffic {
  model::TrafficSelector local, remote;
};
[[nodiscard]] PfkeyTraffic traffic_of(const PfkeySelector& selector);
// An outbound policy. protect: whether it protects now; one with level `use` does so while there are SAs.
[[nodiscard]] model::PolicySpec policy_spec_of(const PfkeyPolicy& policy, bool protect);

// Both prefixes are single addresses.
[[nodiscard]] bool is_host_to_host(const PfkeySelector& selector);

}  // namespace cygnet::sadb
