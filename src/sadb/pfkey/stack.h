// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a PF_KEY policy asks for, taken apart: at most one request of each kind, in the order in which the engine
// applies them: IPComp inside ESP inside AH.
#include <optional>

#include "sadb/pfkey/error.h"
#include "sadb/pfkey/policy_table.h"
#include "sadb/pfkey/sa_table.h"

namespace cygnet::sadb {

struct PfkeyStack {
  const wire::pfkey::PolicyRequest* ipcomp = nullptr;
  const wire::pfkey::PolicyRequest* esp = nullptr;
  const wire::pfkey::PolicyRequest* ah = nullptr;

  // Of the SA that takes the packets of the policy; AH around ESP comes after it.
  [[nodiscard]] const wire::pfkey::PolicyRequest& main() const { return esp != nullptr ? *esp : *ah; }
  [[nodiscard]] bool is_bundle() const { return esp != nullptr && ah != nullptr; }
  // The ends of the outer packets, where a request names any.
  [[nodiscard]] const wire::pfkey::PolicyRequest::Ends* ends() const;
  // The request for SAs of this kind.
  [[nodiscard]] const wire::pfkey::PolicyRequest* request_for(wire::pfkey::SaType type) const;
  // What the engine does with what is inside the main SA.
  [[nodiscard]] model::Mode mode() const;
};

// Of a sound policy that protects.
[[nodiscard]] PfkeyStack stack_of(const PfkeyPolicy& policy);
// Whether the engine can carry these requests together.
[[nodiscard]] PfkeyResult<> check_stack(const PfkeyPolicy& policy);

}  // namespace cygnet::sadb
