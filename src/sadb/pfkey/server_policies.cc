// SPDX-License-Identifier: Apache-2.0
// What clients ask about policies: KAME's messages, answered as Linux answers them.
#include "sadb/pfkey/server.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
using Type = pf::MessageType;

PfkeyResult<PfkeyPolicy*> find_policy(PfkeyDatabase& database, const pf::Message& message) {
  if (!message.policy) return refuse(EINVAL, "the policy extension is missing");
  if (message.header.type == Type::kSpdDelete || message.header.type == Type::kMigrate) {
    const auto selector = selector_of(message);
    if (!selector) return std::unexpected(selector.error());
    auto* policy = database.policies().find(*selector);
    if (policy == nullptr) return refuse(ESRCH, "there is no policy with just these selectors and this direction");
    return policy;
  }
  auto* policy = database.policies().find_id(message.policy->id);
  if (policy == nullptr) return refuse(ESRCH, "there is no policy with id " + std::to_string(message.policy->id));
  return policy;
}

}  // namespace

// X_SPDADD, X_SPDSETIDX: new. X_SPDUPDATE: new, or in the place of an old one.
PfkeyResult<> PfkeyServer::on_spd_add(Client& client, const Message& message, PfkeyTime time) {
  auto draft = policy_draft_of(message);
  if (!draft) return std::unexpected(draft.error());
  const bool replace = message.header.type == Type::kSpdUpdate;
  const auto policy = database_.add_policy(std::move(*draft), replace, time);
  if (!policy) return std::unexpected(policy.error());
  tell(describe_policy(**policy), message.header, Audience::kAll, &client);
  if (observer_ != nullptr) observer_->on_policy(**policy, replace ? PolicyChange::kUpdated : PolicyChange::kAdded);
  return {};
}

PfkeyResult<> PfkeyServer::on_spd_delete(Client& client, const Message& message, PfkeyTime) {
  const auto policy = find_policy(database_, message);
  if (!policy) return std::unexpected(policy.error());
  auto answer = describe_policy(**policy);
  if (observer_ != nullptr) observer_->on_policy(**policy, PolicyChange::kDeleted);
  database_.remove_policy(**policy);
  tell(std::move(answer), message.header, Audience::kAll, &client);
  return {};
}

PfkeyResult<> PfkeyServer::on_spd_get(Client& client, const Message& message, PfkeyTime) {
  const auto policy = find_policy(database_, message);
  if (!policy) return std::unexpected(policy.error());
  tell(describe_policy(**policy), message.header, Audience::kSender, &client);
  return {};
}

PfkeyResult<> PfkeyServer::on_spd_flush(Client& client, const Message& message, PfkeyTime) {
  database_.flush_policies();
  if (observer_ != nullptr) observer_->on_policies_flushed();
  tell({}, message.header, Audience::kAll, &client);
  return {};
}

PfkeyResult<> PfkeyServer::on_spd_dump(Client& client, const Message& message, PfkeyTime time) {
  return begin_dump(client, message, true, time);
}

// <base, address(SD), policy with requests in pairs (old, new), (kmaddress)>.
PfkeyResult<> PfkeyServer::on_migrate(Client& client, const Message& message, PfkeyTime time) {
  const auto policy = find_policy(database_, message);
  if (!policy) return std::unexpected(policy.error());
  const auto& requests = message.policy->requests;
  if (requests.size() != 2) {
    return refuse(EINVAL, "a migration has one pair of requests here: the old ends of the tunnel and the new ones");
  }
  const auto moved = database_.migrate(**policy, requests[0], requests[1], time);
  if (!moved) return std::unexpected(moved.error());
  counters_["sas-migrated"] += *moved;
  Message answer;
  answer.source = message.source;
  answer.destination = message.destination;
  answer.policy = message.policy;
  answer.km_address = message.km_address;
  tell(std::move(answer), message.header, Audience::kAll, &client);
  if (observer_ != nullptr) observer_->on_migrated(**policy, requests[0], requests[1]);
  return {};
}

void PfkeyServer::expire_policies(PfkeyTime time) {
  while (auto* policy = database_.policies().overdue(time.now)) {
    ++counters_["policies-expired"];
    on_policy(*policy, PolicyChange::kExpired);
    if (observer_ != nullptr) observer_->on_policy(*policy, PolicyChange::kExpired);
    database_.remove_policy(*policy);
  }
}

}  // namespace cygnet::sadb
