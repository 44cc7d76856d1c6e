// SPDX-License-Identifier: Apache-2.0
// What programs ask about policies.
#include <algorithm>

#include "sadb/xfrm_server/server.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
namespace xf = wire::xfrm;
using Type = xf::MessageType;

constexpr std::uint8_t kAccept = 2;  // XFRM_USERPOLICY_ACCEPT
constexpr std::uint8_t kUnchanged = 0;

}  // namespace

PfkeyResult<PfkeyPolicy*> XfrmServer::find_policy(const Message& message) {
  const auto& id = std::get<xf::PolicyId>(message.body);
  if (auto table = check_one_table(message.attributes); !table) {
    return refuse(ENOENT, "there is no such policy: " + table.error().message);
  }
  PfkeyPolicy* found = nullptr;
  if (id.index != 0) {
    found = database_.policies().find_id(id.index);
  } else {
    const auto selector = xfrm_selector(id.selector, id.direction);
    if (!selector) return std::unexpected(selector.error());
    found = database_.policies().find(*selector);
  }
  if (found == nullptr) return refuse(ENOENT, "there is no policy with this selector, or index, and direction");
  return found;
}

PfkeyResult<> XfrmServer::on_new_policy(Client& /*client*/, const Message& message, PfkeyTime time) {
  auto draft = xfrm_policy_draft(std::get<xf::PolicyInfo>(message.body), message.attributes);
  if (!draft) return std::unexpected(draft.error());
  const bool replace = message.header.type == Type::kUpdPolicy;
  const bool there = database_.policies().find(draft->selector) != nullptr;
  const auto policy = database_.add_policy(std::move(*draft), replace, time);
  if (!policy) return std::unexpected(policy.error());
  const auto change = there ? PolicyChange::kUpdated : PolicyChange::kAdded;
  on_policy(**policy, change);
  hub_.on_policy(**policy, change);
  return {};
}

PfkeyResult<> XfrmServer::on_del_policy(Client& /*client*/, const Message& message, PfkeyTime /*time*/) {
  const auto policy = find_policy(message);
  if (!policy) return std::unexpected(policy.error());
  on_policy(**policy, PolicyChange::kDeleted);
  hub_.on_policy(**policy, PolicyChange::kDeleted);
  database_.remove_policy(**policy);
  return {};
}

PfkeyResult<> XfrmServer::on_get_policy(Client& client, const Message& message, PfkeyTime /*time*/) {
  if (!std::holds_alternative<xf::PolicyId>(message.body)) return begin_dump(client, message, true);
  const auto policy = find_policy(message);
  if (!policy) return std::unexpected(policy.error());
  Message out;
  out.header.type = Type::kNewPolicy;
  out.body = describe_info(**policy);
  out.attributes = describe_attributes(**policy);
  answer(client, message.header, std::move(out));
  return {};
}

PfkeyResult<> XfrmServer::on_flush_policy(Client& /*client*/, const Message& message, PfkeyTime /*time*/) {
  if (auto table = check_one_table(message.attributes); !table) return table;
  database_.flush_policies();
  on_policies_flushed();
  hub_.on_policies_flushed();
  return {};
}

PfkeyResult<> XfrmServer::on_migrate(Client& /*client*/, const Message& message, PfkeyTime time) {
  const auto policy = find_policy(message);
  if (!policy) return std::unexpected(policy.error());
  const auto& migrations = message.attributes.migrations;
  if (!migrations || migrations->size() != 1) {
    return refuse(EINVAL, "a migration has one entry here: the old ends of the tunnel and the new ones");
  }
  const auto move = xfrm_move(migrations->front());
  if (!move) return std::unexpected(move.error());
  const auto moved = database_.migrate(**policy, move->from, move->to, time);
  if (!moved) return std::unexpected(moved.error());
  counters_["sas-migrated"] += *moved;
  on_migrated(**policy, move->from, move->to);
  hub_.on_migrated(**policy, move->from, move->to);
  return {};
}

PfkeyResult<> XfrmServer::on_get_spd_info(Client& client, const Message& message, PfkeyTime /*time*/) {
  xf::SpdInfo info;
  info.flags = std::get<xf::SpdInfo>(message.body).flags;
  info.counts.emplace();
  for (const auto* p = database_.policies().after(0); p != nullptr; p = database_.policies().after(p->serial)) {
    using D = pf::PolicyDirection;
    const auto direction = p->selector.direction;
    ++(direction == D::kIn ? info.counts->in : direction == D::kOut ? info.counts->out : info.counts->forward);
  }
  Message out;
  out.header.type = Type::kNewSpdInfo;
  out.body = info;
  answer(client, message.header, std::move(out));
  return {};
}

// From which prefix lengths on the kernel's table shall hash. The engine finds policies in tries, whatever their
// prefixes: what is asked for is so already.
PfkeyResult<> XfrmServer::on_set_spd_info(Client& /*client*/, const Message& /*message*/, PfkeyTime /*time*/) {
  return {};
}

PfkeyResult<> XfrmServer::on_get_default(Client& client, const Message& message, PfkeyTime /*time*/) {
  Message out;
  out.header.type = Type::kGetDefault;
  out.body = xf::PolicyDefaults{kAccept, kAccept, kAccept};
  answer(client, message.header, std::move(out));
  return {};
}

PfkeyResult<> XfrmServer::on_set_default(Client& /*client*/, const Message& message, PfkeyTime /*time*/) {
  const auto& said = std::get<xf::PolicyDefaults>(message.body);
  for (const auto one : {said.in, said.forward, said.out}) {
    if (one != kAccept && one != kUnchanged) {
      return refuse(EOPNOTSUPP,
                    "what no policy is for does not come to the engine, and it cannot block it: use a "
                    "firewall rule");
    }
  }
  return {};
}

}  // namespace cygnet::sadb
