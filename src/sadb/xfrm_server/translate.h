// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages of NETLINK_XFRM to entries of the database, and back. What the engine would not do is refused by name:
// nothing is taken and then left out.
#include "sadb/pfkey/database.h"
#include "wire/xfrm/message.h"

namespace cygnet::sadb {

// ---- what a message says
[[nodiscard]] PfkeyResult<PfkeySa> xfrm_sa_draft(const wire::xfrm::SaInfo& info,
                                                 const wire::xfrm::Attributes& attributes, bool with_algorithms);
[[nodiscard]] PfkeyResult<PfkeySelector> xfrm_selector(const wire::xfrm::Selector& selector, std::uint8_t direction);
[[nodiscard]] PfkeyResult<PfkeyPolicy> xfrm_policy_draft(const wire::xfrm::PolicyInfo& info,
                                                         const wire::xfrm::Attributes& attributes);
// The old ends of a tunnel and the new ones.
struct XfrmMove {
  wire::pfkey::PolicyRequest from, to;
};
[[nodiscard]] PfkeyResult<XfrmMove> xfrm_move(const wire::xfrm::Migration& migration);
// Marks, interface ids, sub-policies: the engine keeps all in one table.
[[nodiscard]] PfkeyResult<> check_one_table(const wire::xfrm::Attributes& attributes);

// ---- what is there
enum class XfrmKeys : std::uint8_t { kShown, kBlank };
[[nodiscard]] wire::xfrm::SaInfo describe_info(const PfkeyDatabase& database, const PfkeySa& sa, PfkeyTime time);
[[nodiscard]] wire::xfrm::Attributes describe_attributes(const PfkeyDatabase& database, const PfkeySa& sa,
                                                         XfrmKeys keys, PfkeyTime time);
[[nodiscard]] wire::xfrm::SaId describe_id(const PfkeySa& sa);
[[nodiscard]] wire::xfrm::PolicyInfo describe_info(const PfkeyPolicy& policy);
[[nodiscard]] wire::xfrm::Attributes describe_attributes(const PfkeyPolicy& policy);
[[nodiscard]] wire::xfrm::Migration describe_move(const XfrmMove& move);

}  // namespace cygnet::sadb
