// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages about SAs and policies.
#include "sadb/pfkey/database.h"

namespace cygnet::sadb {

enum class PfkeyKeys : std::uint8_t {
  kNone,      // what goes to many listeners: RFC 2367 section 3.1.3 sends no keys
  kCensored,  // as many zeros
  kShown,
};

// SA, lifetimes, addresses, identities and the extensions of Linux; the header is the caller's.
[[nodiscard]] wire::pfkey::Message describe_sa(PfkeyDatabase& database, const PfkeySa& sa, PfkeyKeys keys,
                                               PfkeyTime time);
[[nodiscard]] wire::pfkey::Message describe_policy(const PfkeyPolicy& policy);
[[nodiscard]] wire::pfkey::PolicyExtension policy_extension(const PfkeyPolicy& policy);

// What a message says of an SA or of a policy; errors name what is missing.
[[nodiscard]] PfkeyResult<PfkeySa> sa_draft_of(const wire::pfkey::Message& message);
[[nodiscard]] PfkeyResult<PfkeySelector> selector_of(const wire::pfkey::Message& message);
[[nodiscard]] PfkeyResult<PfkeyPolicy> policy_draft_of(const wire::pfkey::Message& message);

}  // namespace cygnet::sadb
