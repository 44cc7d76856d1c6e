// SPDX-License-Identifier: Apache-2.0
// What clients ask about SAs (RFC 2367 section 3.1), and what the engine tells of them.
#include <algorithm>

#include "sadb/pfkey/server.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;

// The range Linux takes where a client names none.
constexpr pf::SpiRangeExtension kAnySpi{0x100, 0x0fffffff};

PfkeyResult<> check_type(pf::SaType type) {
  if (type == pf::SaType::kEsp || type == pf::SaType::kAh || type == pf::SaType::kIpComp) return {};
  return refuse(EINVAL, name_of(type) + " is no type of SA that there is here: esp, ah and ipcomp are");
}

bool is_of(const PfkeySa& sa, pf::SaType type) { return type == pf::SaType::kUnspecified || sa.sa_type == type; }

}  // namespace

PfkeyResult<PfkeySa*> PfkeyServer::find_sa(const Message& message) {
  if (!message.sa || !message.destination) {
    return refuse(EINVAL, std::string("the ") + (message.sa ? "destination address" : "SA extension") + " is missing");
  }
  auto* sa = database_.sas().find(message.sa->spi, message.destination->endpoint.address, message.header.sa_type);
  if (sa == nullptr) {
    return refuse(ESRCH, "there is no " + name_of(message.header.sa_type) + " SA with SPI " +
                             std::to_string(message.sa->spi.value) + " to " +
                             message.destination->endpoint.address.to_string());
  }
  return sa;
}

// <base, address, SPI range>; answered with <base, SA(*), address(SD)>, section 3.1.1.
PfkeyResult<> PfkeyServer::on_get_spi(Client& client, const Message& message, PfkeyTime time) {
  if (auto type = check_type(message.header.sa_type); !type) return type;
  auto draft = sa_draft_of(message);
  if (!draft) return std::unexpected(draft.error());
  draft->state = pf::SaState::kLarval;
  const auto range = message.spi_range.value_or(kAnySpi);
  const auto sa = database_.get_spi(std::move(*draft), range.min, range.max, time);
  if (!sa) return std::unexpected(sa.error());
  Message answer;
  answer.sa = pf::SaExtension{.spi = (*sa)->spi};
  answer.source = (*sa)->source;
  answer.destination = (*sa)->destination;
  tell(std::move(answer), message.header, Audience::kSender, &client);
  return {};
}

// Section 3.1.3: "the kernel returns" what was added without its keys, to all listeners.
void PfkeyServer::installed(const PfkeySa& sa, const Header& request, Client& client, PfkeyTime time) {
  answered(sa);
  tell(describe_sa(database_, sa, PfkeyKeys::kNone, time), request, Audience::kAll, &client);
  if (observer_ == nullptr) return;
  const bool added = request.type == pf::MessageType::kAdd;
  observer_->on_sa(sa, added ? SaChange::kAdded : SaChange::kUpdated, time);
}

void PfkeyServer::forget_acquire(std::uint32_t sequence) {
  const auto it = acquires_.find(sequence);
  if (it == acquires_.end()) return;
  acquires_by_group_.erase({it->second.group.value, sequence});
  acquires_.erase(it);
}

void PfkeyServer::answered(const PfkeySa& sa) {
  if (acquires_.empty()) return;
  forget_acquire(sa.sequence);
  // Key managers of NETLINK_XFRM do not all say which ACQUIRE they answer.
  if (!sa.outbound) return;
  for (;;) {
    const auto it = acquires_by_group_.lower_bound({sa.group.value, 0});
    if (it == acquires_by_group_.end() || it->first != sa.group.value) return;
    forget_acquire(it->second);
  }
}

bool PfkeyServer::acquire_failed(std::uint32_t sequence) {
  const auto it = acquires_.find(sequence);
  if (it == acquires_.end()) return false;
  engine_.acquire_failed(it->second.policy);
  forget_acquire(sequence);
  return true;
}

PfkeyResult<> PfkeyServer::on_add(Client& client, const Message& message, PfkeyTime time) {
  if (auto type = check_type(message.header.sa_type); !type) return type;
  if (!message.sa) return refuse(EINVAL, "the SA extension is missing");
  auto draft = sa_draft_of(message);
  if (!draft) return std::unexpected(draft.error());
  const auto sa = database_.add(std::move(*draft), time);
  if (!sa) return std::unexpected(sa.error());
  installed(**sa, message.header, client, time);
  return {};
}

PfkeyResult<> PfkeyServer::on_update(Client& client, const Message& message, PfkeyTime time) {
  if (auto type = check_type(message.header.sa_type); !type) return type;
  if (!message.sa) return refuse(EINVAL, "the SA extension is missing");
  auto draft = sa_draft_of(message);
  if (!draft) return std::unexpected(draft.error());
  const auto sa = database_.update(std::move(*draft), time);
  if (!sa) return std::unexpected(sa.error());
  installed(**sa, message.header, client, time);
  return {};
}

PfkeyResult<> PfkeyServer::on_delete(Client& client, const Message& message, PfkeyTime time) {
  if (auto type = check_type(message.header.sa_type); !type) return type;
  if (!message.sa) return delete_all(client, message, time);
  const auto sa = find_sa(message);
  if (!sa) return std::unexpected(sa.error());
  if (observer_ != nullptr) observer_->on_sa(**sa, SaChange::kDeleted, time);
  Message answer;
  answer.sa = pf::SaExtension{.spi = (*sa)->spi, .state = pf::SaState::kDead};
  answer.source = (*sa)->source;
  answer.destination = (*sa)->destination;
  database_.remove(**sa);
  tell(std::move(answer), message.header, Audience::kAll, &client);
  return {};
}

// Without an SPI: all SAs between two addresses, as KAME does for setkey's deleteall.
PfkeyResult<> PfkeyServer::delete_all(Client& client, const Message& message, PfkeyTime time) {
  if (!message.source || !message.destination) return refuse(EINVAL, "an address is missing");
  std::size_t count = 0;
  std::uint64_t at = 0;
  while (auto* sa = database_.sas().after(at)) {
    at = sa->serial;
    if (sa->from() != message.source->endpoint.address || sa->to() != message.destination->endpoint.address ||
        !is_of(*sa, message.header.sa_type)) {
      continue;
    }
    if (observer_ != nullptr) observer_->on_sa(*sa, SaChange::kDeleted, time);
    database_.remove(*sa);
    ++count;
  }
  if (count == 0) return refuse(ESRCH, "there is no SA between these addresses");
  Message answer;
  answer.source = message.source;
  answer.destination = message.destination;
  tell(std::move(answer), message.header, Audience::kAll, &client);
  return {};
}

PfkeyResult<> PfkeyServer::on_get(Client& client, const Message& message, PfkeyTime time) {
  if (auto type = check_type(message.header.sa_type); !type) return type;
  const auto sa = find_sa(message);
  if (!sa) return std::unexpected(sa.error());
  tell(describe_sa(database_, **sa, keys_for(client), time), message.header, Audience::kSender, &client);
  return {};
}

// Section 3.1.7. What cannot be done is not listed. AH has no ciphers; IPComp's DEFLATE is none of both lists.
PfkeyResult<> PfkeyServer::on_register(Client& client, const Message& message, PfkeyTime) {
  const auto type = message.header.sa_type;
  if (type != pf::SaType::kUnspecified) {
    if (auto known = check_type(type); !known) return known;
  }
  Message answer;
  if (type != pf::SaType::kAh && type != pf::SaType::kIpComp) {
    client.registered_esp = true;
    answer.supported_encrypt = supported_.encrypt;
  }
  if (type == pf::SaType::kAh || type == pf::SaType::kUnspecified) client.registered_ah = true;
  if (type != pf::SaType::kIpComp) answer.supported_auth = supported_.auth;
  tell(std::move(answer), message.header, Audience::kSender, &client);
  return {};
}

// Section 3.1.6: a key manager that cannot get an SA says so with an errno.
PfkeyResult<> PfkeyServer::on_acquire(Client&, const Message& message, PfkeyTime) {
  if (message.header.error == 0) {
    return refuse(EINVAL, "an ACQUIRE from a key manager tells that it failed, with an errno");
  }
  if (!acquire_failed(message.header.sequence)) return refuse(ESRCH, "there is no ACQUIRE with this sequence number");
  return {};
}

PfkeyResult<> PfkeyServer::on_flush(Client& client, const Message& message, PfkeyTime) {
  const auto type = message.header.sa_type;
  if (type != pf::SaType::kUnspecified) {
    if (auto known = check_type(type); !known) return known;
  }
  database_.flush_sas(type);
  if (observer_ != nullptr && type != pf::SaType::kAh && type != pf::SaType::kIpComp) observer_->on_sas_flushed();
  tell({}, message.header, Audience::kAll, &client);
  return {};
}

PfkeyResult<> PfkeyServer::on_dump(Client& client, const Message& message, PfkeyTime time) {
  if (message.header.sa_type != pf::SaType::kUnspecified) {
    if (auto type = check_type(message.header.sa_type); !type) return type;
  }
  return begin_dump(client, message, false, time);
}

// ---- what the engine tells

bool PfkeyServer::on_event(const Event& event, PfkeyTime time) {
  if (const auto* acquire = std::get_if<Acquire>(&event)) {
    if (!is_pfkey(acquire->policy)) return false;
    raise_acquire(*acquire, time);
    return true;
  }
  if (const auto* expiring = std::get_if<SaExpiring>(&event)) {
    if (!is_pfkey(expiring->child)) return false;
    if (auto* sa = database_.sas().find(expiring->child)) expire(*sa, expiring->hard, time);
    return true;
  }
  if (const auto* moved = std::get_if<PeerMoved>(&event)) {
    if (!is_pfkey(moved->child)) return false;
    if (const auto* sa = database_.sas().find(moved->child)) {
      ++counters_["new-mappings"];
      on_moved(*sa, *moved);
      if (observer_ != nullptr) observer_->on_moved(*sa, *moved);
    }
    return true;
  }
  const auto* activated = std::get_if<ChildActivated>(&event);
  return activated != nullptr && is_pfkey(activated->child);
}

void PfkeyServer::expire(PfkeySa& sa, bool hard, PfkeyTime time) {
  if (!hard && sa.state != pf::SaState::kMature) return;
  const bool larval = sa.state == pf::SaState::kLarval;
  sa.state = hard ? pf::SaState::kDead : pf::SaState::kDying;
  ++counters_[hard ? "expired-hard" : "expired-soft"];
  const auto change = hard ? SaChange::kHardExpired : SaChange::kSoftExpired;
  on_sa(sa, change, time);
  if (observer_ != nullptr) observer_->on_sa(sa, change, time);
  if (larval) sa.state = pf::SaState::kLarval;  // the table counts those
  if (hard) database_.remove(sa);
}

// <base, address(SD), policy, proposal>, section 3.1.6 with the policy that Linux adds.
void PfkeyServer::raise_acquire(const Acquire& event, PfkeyTime time) {
  const auto* policy = database_.find_policy(event.policy);
  const bool heard = hears_acquires() || (observer_ != nullptr && observer_->hears_acquires());
  ++counters_["acquires"];
  if (policy == nullptr || policy->requests.empty() || !heard || acquires_.size() >= kMostAcquires) {
    if (!heard) ++counters_["acquires-without-key-manager"];
    engine_.acquire_failed(event.policy);
    return;
  }
  const auto sequence = next_acquire_++;
  if (next_acquire_ == 0) next_acquire_ = 1;
  acquires_[sequence] = {event.policy, policy->group, time.now + kAcquireLife};
  acquires_by_group_.insert({policy->group.value, sequence});
  on_acquire(*policy, event, sequence);
  if (observer_ != nullptr) observer_->on_acquire(*policy, event, sequence);
}

}  // namespace cygnet::sadb
