// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/describe.h"

#include <algorithm>

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;

std::optional<pf::KeyExtension> key_extension(const SecretBytes& key, PfkeyKeys keys) {
  if (keys == PfkeyKeys::kNone) return std::nullopt;
  pf::KeyExtension out{static_cast<std::uint16_t>(key.size() * 8), key};
  if (keys == PfkeyKeys::kCensored) std::fill(out.key.begin(), out.key.end(), std::uint8_t{0});
  return out;
}

void describe_nat(const PfkeySa& sa, pf::Message& out) {
  if (sa.nat_type == 0) return;
  out.nat_type = pf::NatTypeExtension{sa.nat_type};
  out.nat_source_port = pf::NatPortExtension{sa.nat_source_port};
  out.nat_destination_port = pf::NatPortExtension{sa.nat_destination_port};
  out.nat_original = sa.nat_original;
}

bool wants_labels(const pf::Message& message) { return message.sensitivity || message.security_context; }

PfkeyResult<> check_addresses(const pf::Message& message) {
  if (message.source && message.destination) return {};
  return refuse(EINVAL, std::string("the ") + (message.source ? "destination" : "source") + " address is missing");
}

IpPrefix prefix_of(const pf::AddressExtension& address) {
  const IpPrefix given{address.endpoint.address, address.prefix_length};
  return {given.network(), given.length};
}

}  // namespace

pf::Message describe_sa(PfkeyDatabase& database, const PfkeySa& sa, PfkeyKeys keys, PfkeyTime time) {
  pf::Message out;
  out.header.sa_type = sa.sa_type;
  const auto replay = static_cast<std::uint8_t>(std::min<std::uint32_t>(sa.replay, UINT8_MAX));
  out.sa = pf::SaExtension{sa.spi, replay, sa.state, sa.auth, sa.encrypt, sa.flags};
  out.current = database.current(sa, time);
  out.hard = sa.hard;
  out.soft = sa.soft;
  out.source = sa.source;
  out.destination = sa.destination;
  out.proxy = sa.proxy;
  if (!sa.auth_key.empty()) out.auth_key = key_extension(sa.auth_key, keys);
  if (sa.state != pf::SaState::kLarval && sa.sa_type == pf::SaType::kEsp)
    out.encrypt_key = key_extension(sa.encrypt_key, keys);
  out.source_identity = sa.source_identity;
  out.destination_identity = sa.destination_identity;
  out.sa2 = pf::Sa2Extension{sa.mode, static_cast<std::uint32_t>(database.last_sequence(sa)), sa.reqid};
  describe_nat(sa, out);
  return out;
}

pf::PolicyExtension policy_extension(const PfkeyPolicy& policy) {
  return {policy.type, policy.selector.direction, policy.id, policy.priority, policy.requests};
}

pf::Message describe_policy(const PfkeyPolicy& policy) {
  pf::Message out;
  const auto& s = policy.selector;
  out.source = pf::AddressExtension{s.protocol, s.source.length, {s.source.address, s.source_port}};
  out.destination = pf::AddressExtension{s.protocol, s.destination.length, {s.destination.address, s.destination_port}};
  out.policy = policy_extension(policy);
  out.current = pf::LifetimeExtension{.add_time = static_cast<std::uint64_t>(policy.added_wall_s)};
  out.hard = policy.hard;
  out.soft = policy.soft;
  return out;
}

PfkeyResult<PfkeySa> sa_draft_of(const pf::Message& message) {
  if (auto addresses = check_addresses(message); !addresses) return std::unexpected(addresses.error());
  if (wants_labels(message)) {
    return refuse(EOPNOTSUPP, "the engine does not separate traffic by labels (sensitivity, security context)");
  }
  PfkeySa sa;
  sa.sa_type = message.header.sa_type;
  sa.source = *message.source;
  sa.destination = *message.destination;
  sa.proxy = message.proxy;
  if (message.sa) {
    sa.spi = message.sa->spi;
    sa.replay = message.sa->replay;
    sa.auth = message.sa->auth;
    sa.encrypt = message.sa->encrypt;
    sa.flags = message.sa->flags;
  }
  if (message.auth_key) sa.auth_key = message.auth_key->key;
  if (message.encrypt_key) sa.encrypt_key = message.encrypt_key->key;
  if (message.sa2) {
    sa.mode = message.sa2->mode == pf::Mode::kAny ? pf::Mode::kTransport : message.sa2->mode;
    sa.reqid = message.sa2->reqid;
  }
  sa.hard = message.hard;
  sa.soft = message.soft;
  sa.source_identity = message.source_identity;
  sa.destination_identity = message.destination_identity;
  if (message.nat_type) sa.nat_type = message.nat_type->type;
  if (message.nat_source_port) sa.nat_source_port = message.nat_source_port->port;
  if (message.nat_destination_port) sa.nat_destination_port = message.nat_destination_port->port;
  if (message.nat_fragment) sa.nat_fragment = message.nat_fragment->octets;
  sa.nat_original = message.nat_original;
  sa.sequence = message.header.sequence;
  sa.pid = message.header.pid;
  return sa;
}

PfkeyResult<PfkeySelector> selector_of(const pf::Message& message) {
  if (auto addresses = check_addresses(message); !addresses) return std::unexpected(addresses.error());
  if (!message.policy) return refuse(EINVAL, "the policy extension is missing");
  PfkeySelector out;
  out.direction = message.policy->direction;
  out.source = prefix_of(*message.source);
  out.destination = prefix_of(*message.destination);
  out.source_port = message.source->endpoint.port;
  out.destination_port = message.destination->endpoint.port;
  // Programs differ in which of the two addresses carries the protocol; Linux takes the source's.
  out.protocol = message.source->protocol == 0 ? pf::kAnyProtocol : message.source->protocol;
  return out;
}

PfkeyResult<PfkeyPolicy> policy_draft_of(const pf::Message& message) {
  const auto selector = selector_of(message);
  if (!selector) return std::unexpected(selector.error());
  if (message.security_context) {
    return refuse(EOPNOTSUPP, "the engine does not separate traffic by security contexts");
  }
  PfkeyPolicy out;
  out.selector = *selector;
  out.type = message.policy->type;
  out.priority = message.policy->priority;
  out.requests = message.policy->requests;
  out.hard = message.hard;
  out.soft = message.soft;
  return out;
}

}  // namespace cygnet::sadb
