// SPDX-License-Identifier: Apache-2.0
// What is told to clients who did not ask: what the engine reports, time brings, or a client of another service does.
#include <algorithm>

#include "sadb/pfkey/server.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
using Type = pf::MessageType;

// <base, SA, lifetime(C and one of HS), address(SD)>, RFC 2367 section 3.1.8.
void make_expire(pf::Message& message, bool hard) {
  auto& told = hard ? message.hard : message.soft;
  auto& other = hard ? message.soft : message.hard;
  other.reset();
  if (!told) told = pf::LifetimeExtension{};
}

}  // namespace

void PfkeyServer::on_sa(const PfkeySa& sa, SaChange change, PfkeyTime time) {
  pf::Message message;
  Header header{.sa_type = sa.sa_type, .sequence = sa.sequence, .pid = sa.pid};
  if (change == SaChange::kDeleted) {
    header.type = Type::kDelete;
    message.sa = pf::SaExtension{.spi = sa.spi, .state = pf::SaState::kDead};
    message.source = sa.source;
    message.destination = sa.destination;
    tell(std::move(message), header, Audience::kAll, nullptr);
    return;
  }
  message = describe_sa(database_, sa, PfkeyKeys::kNone, time);
  if (change == SaChange::kAdded || change == SaChange::kUpdated) {
    header.type = change == SaChange::kAdded ? Type::kAdd : Type::kUpdate;
    tell(std::move(message), header, Audience::kAll, nullptr);
    return;
  }
  make_expire(message, change == SaChange::kHardExpired);
  tell(std::move(message), {.type = Type::kExpire, .sa_type = sa.sa_type}, Audience::kRegistered, nullptr);
}

void PfkeyServer::on_sas_flushed() {
  tell({}, {.type = Type::kFlush, .sa_type = pf::SaType::kEsp}, Audience::kAll, nullptr);
}

void PfkeyServer::on_policy(const PfkeyPolicy& policy, PolicyChange change) {
  Header header;
  auto audience = Audience::kAll;
  switch (change) {
    case PolicyChange::kAdded: header.type = Type::kSpdAdd; break;
    case PolicyChange::kUpdated: header.type = Type::kSpdUpdate; break;
    case PolicyChange::kDeleted: header.type = Type::kSpdDelete; break;
    case PolicyChange::kExpired:
      header.type = Type::kSpdExpire;
      audience = Audience::kRegistered;
      break;
  }
  tell(describe_policy(policy), header, audience, nullptr);
}

void PfkeyServer::on_policies_flushed() { tell({}, {.type = Type::kSpdFlush}, Audience::kAll, nullptr); }

bool PfkeyServer::hears_acquires() const {
  return std::ranges::any_of(
      clients_, [](const auto& entry) { return entry.second.registered_esp || entry.second.registered_ah; });
}

// <base, address(SD), policy, proposal>, section 3.1.6 with the policy that Linux adds.
void PfkeyServer::on_acquire(const PfkeyPolicy& policy, const Acquire& event, std::uint32_t sequence) {
  const auto stack = stack_of(policy);
  const auto& request = stack.main();
  const auto type = stack.esp != nullptr ? pf::SaType::kEsp : pf::SaType::kAh;
  pf::Message message;
  if (const auto* ends = stack.ends()) {
    message.source = pf::AddressExtension::host(ends->source.address);
    message.destination = pf::AddressExtension::host(ends->destination.address);
  } else {
    message.source = pf::AddressExtension::host(event.local.range.first);
    message.destination = pf::AddressExtension::host(event.remote.range.first);
  }
  message.policy = policy_extension(policy);
  message.policy->requests.clear();
  message.proposal = proposal_of(supported_, type);
  message.sa2 = pf::Sa2Extension{.mode = request.mode, .reqid = request.reqid};
  tell(std::move(message), {.type = Type::kAcquire, .sa_type = type, .sequence = sequence}, Audience::kRegistered,
       nullptr);
}

// As Linux has it: SA, the address and port the peer had as source, those it has now as destination.
void PfkeyServer::on_moved(const PfkeySa& sa, const PeerMoved& event) {
  pf::Message message;
  message.sa = pf::SaExtension{.spi = sa.spi};
  message.source = pf::AddressExtension::host(sa.from());
  message.nat_source_port = pf::NatPortExtension{sa.nat_source_port};
  message.destination = pf::AddressExtension::host(event.remote.address);
  message.nat_destination_port = pf::NatPortExtension{event.remote.port};
  tell(std::move(message), {.type = Type::kNewMapping, .sa_type = pf::SaType::kEsp}, Audience::kRegistered, nullptr);
}

void PfkeyServer::on_migrated(const PfkeyPolicy& policy, const pf::PolicyRequest& from, const pf::PolicyRequest& to) {
  auto message = describe_policy(policy);
  message.current.reset();
  message.hard.reset();
  message.soft.reset();
  message.policy->requests = {from, to};
  tell(std::move(message), {.type = Type::kMigrate, .sa_type = pf::SaType::kEsp}, Audience::kAll, nullptr);
}

}  // namespace cygnet::sadb
