// SPDX-License-Identifier: Apache-2.0
#include "cli/setkey_messages.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

namespace cygnet::cli {

namespace {

namespace pf = wire::pfkey;
using config::SetkeyProtocol;
using config::SetkeyStatement;
using config::SetkeyVerb;

struct Pair {
  IpAddress source, destination;
};

constexpr auto kTcpSa = static_cast<pf::SaType>(11);  // SADB_X_SATYPE_TCPSIGNATURE of NetBSD and FreeBSD

bool wanted_family(const IpAddress& address, char family) { return family == 0 || (family == '4') == address.is_v4(); }

// "any" is every address of the family of the other side.
Result<std::vector<IpAddress>> addresses_of(const config::SetkeyAddress& address, const SetkeyStatement& statement,
                                            const Resolve& resolve) {
  std::vector<IpAddress> found{IpAddress::any(Family::kV4), IpAddress::any(Family::kV6)};
  if (address.host != "any") {
    auto resolved = resolve(address.host, statement.no_lookup);
    if (!resolved) return resolved;
    found = std::move(*resolved);
  }
  std::erase_if(found, [&](const IpAddress& a) { return !wanted_family(a, statement.family); });
  if (found.empty()) return fail("'" + address.host + "' has no address of the family asked for");
  return found;
}

Result<std::vector<Pair>> pairs_of(const SetkeyStatement& statement, const Resolve& resolve) {
  const auto sources = addresses_of(statement.source, statement, resolve);
  if (!sources) return std::unexpected(sources.error());
  const auto destinations = addresses_of(statement.destination, statement, resolve);
  if (!destinations) return std::unexpected(destinations.error());
  std::vector<Pair> pairs;
  for (const auto& source : *sources) {
    for (const auto& destination : *destinations) {
      if (source.family() == destination.family()) pairs.push_back({source, destination});
    }
  }
  if (pairs.empty()) return fail("source and destination have no address family in common");
  return pairs;
}

pf::MessageType type_of(SetkeyVerb verb) {
  switch (verb) {
    case SetkeyVerb::kAdd: return pf::MessageType::kAdd;
    case SetkeyVerb::kUpdate: return pf::MessageType::kUpdate;
    case SetkeyVerb::kGet: return pf::MessageType::kGet;
    case SetkeyVerb::kDelete:
    case SetkeyVerb::kDeleteAll: return pf::MessageType::kDelete;
    case SetkeyVerb::kFlush: return pf::MessageType::kFlush;
    case SetkeyVerb::kDump: return pf::MessageType::kDump;
    case SetkeyVerb::kSpdAdd: return pf::MessageType::kSpdAdd;
    case SetkeyVerb::kSpdUpdate: return pf::MessageType::kSpdUpdate;
    case SetkeyVerb::kSpdDelete: return pf::MessageType::kSpdDelete;
    case SetkeyVerb::kSpdFlush: return pf::MessageType::kSpdFlush;
    case SetkeyVerb::kSpdDump: return pf::MessageType::kSpdDump;
  }
  return pf::MessageType::kReserved;
}

std::optional<pf::KeyExtension> key_of(const SecretBytes& key) {
  if (key.empty()) return std::nullopt;
  return pf::KeyExtension{static_cast<std::uint16_t>(key.size() * 8), key};
}

std::optional<pf::LifetimeExtension> lifetime_of(const config::SetkeyLifetime& lifetime) {
  if (!lifetime.given()) return std::nullopt;
  return pf::LifetimeExtension{.bytes = lifetime.bytes, .add_time = lifetime.seconds};
}

std::optional<pf::SecurityContextExtension> context_of(const std::optional<config::SetkeySa::Context>& context) {
  if (!context) return std::nullopt;
  pf::SecurityContextExtension out{context->algorithm, context->domain, to_bytes(context->name)};
  out.label.push_back(0);
  return out;
}

void set_sa(const SetkeyStatement& statement, pf::Message& message) {
  const auto& sa = statement.sa;
  message.sa = pf::SaExtension{.spi = Spi{sa.spi}};
  if (statement.verb != SetkeyVerb::kAdd && statement.verb != SetkeyVerb::kUpdate) return;
  message.sa->replay = sa.replay;
  message.sa->state = pf::SaState::kMature;
  message.sa->auth = static_cast<pf::AuthAlgorithm>(sa.authentication);
  message.sa->encrypt =
      static_cast<pf::EncryptAlgorithm>(sa.protocol == SetkeyProtocol::kIpComp ? sa.compression : sa.encryption);
  message.sa->flags = sa.flags;
  message.hard = lifetime_of(sa.hard);
  message.soft = lifetime_of(sa.soft);
  message.auth_key = key_of(sa.authentication_key);
  message.encrypt_key = key_of(sa.encryption_key);
  // Linux wants this extension for ESP, however empty.
  const bool esp = sa.protocol == SetkeyProtocol::kEsp || sa.protocol == SetkeyProtocol::kEspUdp;
  if (esp && statement.verb == SetkeyVerb::kAdd && !message.encrypt_key) message.encrypt_key = pf::KeyExtension{};
  message.sa2 = pf::Sa2Extension{.mode = static_cast<pf::Mode>(sa.mode), .reqid = sa.reqid};
  message.security_context = context_of(sa.context);
  if (sa.fragment != 0) message.nat_fragment = pf::NatFragmentExtension{sa.fragment};
  if (sa.protocol != SetkeyProtocol::kEspUdp) return;
  message.nat_type = pf::NatTypeExtension{pf::NatTypeExtension::kUdpEncapsulation};
  message.nat_source_port = pf::NatPortExtension{statement.source.port};
  message.nat_destination_port = pf::NatPortExtension{statement.destination.port};
}

pf::Message sa_message(const SetkeyStatement& statement, const Pair& pair) {
  pf::Message message;
  message.header.type = type_of(statement.verb);
  message.header.sa_type = sa_type_of(statement.sa.protocol);
  message.source = pf::AddressExtension::host(pair.source);
  message.destination = pf::AddressExtension::host(pair.destination);
  if (statement.verb != SetkeyVerb::kDeleteAll) set_sa(statement, message);
  return message;
}

Result<pf::PolicyRequest> request_of(const config::SetkeyRequest& request, const SetkeyStatement& statement,
                                     const Resolve& resolve) {
  pf::PolicyRequest out;
  out.protocol = request.protocol == SetkeyProtocol::kAh       ? pf::kProtocolAh
                 : request.protocol == SetkeyProtocol::kIpComp ? pf::kProtocolIpComp
                                                               : pf::kProtocolEsp;
  out.mode = static_cast<pf::Mode>(request.mode);
  out.level = static_cast<pf::Level>(request.level);
  out.reqid = request.reqid;
  if (!request.source || !request.destination) return out;
  SetkeyStatement ends;
  ends.no_lookup = statement.no_lookup;
  ends.source = *request.source;
  ends.destination = *request.destination;
  const auto pairs = pairs_of(ends, resolve);
  if (!pairs) return std::unexpected(pairs.error());
  if (pairs->size() > 1) return fail("the ends of a tunnel must be single addresses, not names with several");
  out.ends = pf::PolicyRequest::Ends{{pairs->front().source, request.source->port},
                                     {pairs->front().destination, request.destination->port}};
  return out;
}

Result<pf::PolicyExtension> policy_of(const SetkeyStatement& statement, const Resolve& resolve) {
  const auto& policy = statement.policy;
  pf::PolicyExtension out;
  out.type = static_cast<pf::PolicyType>(policy.action);
  out.direction = static_cast<pf::PolicyDirection>(policy.direction);
  out.priority = policy.priority;
  for (const auto& request : policy.requests) {
    auto one = request_of(request, statement, resolve);
    if (!one) return std::unexpected(one.error());
    out.requests.push_back(*one);
  }
  return out;
}

pf::AddressExtension range_of(const config::SetkeyAddress& range, const IpAddress& address, std::uint8_t protocol) {
  const bool any = range.host == "any";
  const auto whole = static_cast<std::uint8_t>(any ? 0 : address.bits());
  return {protocol, range.prefix_length.value_or(whole), {address, range.port}};
}

Result<std::vector<SetkeyMessage>> spd_messages(const SetkeyStatement& statement, const Resolve& resolve,
                                                bool with_forward) {
  if (statement.tag) {
    return fail("policies for packets with a tag (of pf, on BSD) exist neither in Linux nor in the engine");
  }
  const auto pairs = pairs_of(statement, resolve);
  if (!pairs) return std::unexpected(pairs.error());
  const auto policy = policy_of(statement, resolve);
  if (!policy) return std::unexpected(policy.error());
  std::vector<SetkeyMessage> out;
  for (const auto& pair : *pairs) {
    pf::Message message;
    message.header.type = type_of(statement.verb);
    const auto protocol = statement.policy.protocol == 0 ? pf::kAnyProtocol : statement.policy.protocol;
    message.source = range_of(statement.source, pair.source, protocol);
    message.destination = range_of(statement.destination, pair.destination, protocol);
    if (message.source->prefix_length > pair.source.bits() || message.destination->prefix_length > pair.source.bits()) {
      return fail("a prefix length is more than the address has bits");
    }
    message.policy = *policy;
    message.security_context = context_of(statement.policy.context);
    out.push_back({message, false});
    if (!with_forward || policy->direction != pf::PolicyDirection::kIn) continue;
    message.policy->direction = pf::PolicyDirection::kForward;
    out.push_back({std::move(message), true});
  }
  return out;
}

}  // namespace

pf::SaType sa_type_of(SetkeyProtocol protocol) {
  switch (protocol) {
    case SetkeyProtocol::kAny: return pf::SaType::kUnspecified;
    case SetkeyProtocol::kEsp:
    case SetkeyProtocol::kEspUdp: return pf::SaType::kEsp;
    case SetkeyProtocol::kAh: return pf::SaType::kAh;
    case SetkeyProtocol::kIpComp: return pf::SaType::kIpComp;
    case SetkeyProtocol::kTcp: return kTcpSa;
  }
  return pf::SaType::kUnspecified;
}

Result<std::vector<IpAddress>> resolve_name(const std::string& name, bool numbers_only) {
  if (const auto address = IpAddress::parse(name)) return std::vector{*address};
  if (numbers_only) return fail("'" + name + "' is no address (and -n forbids to look names up)");
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &list); error != 0) {
    return fail("'" + name + "' has no address: " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
  std::vector<IpAddress> out;
  for (const auto* one = list; one != nullptr; one = one->ai_next) {
    const auto* octets = reinterpret_cast<const std::uint8_t*>(one->ai_addr);
    if (one->ai_family == AF_INET) out.push_back(IpAddress::from_bytes({octets + 4, 4}));
    if (one->ai_family == AF_INET6) out.push_back(IpAddress::from_bytes({octets + 8, 16}));
  }
  return out;
}

Result<std::vector<SetkeyMessage>> messages_of(const SetkeyStatement& statement, const Resolve& resolve,
                                               bool with_forward) {
  switch (statement.verb) {
    case SetkeyVerb::kFlush:
    case SetkeyVerb::kDump:
    case SetkeyVerb::kSpdFlush:
    case SetkeyVerb::kSpdDump: {
      pf::Message message;
      message.header.type = type_of(statement.verb);
      message.header.sa_type = sa_type_of(statement.sa.protocol);
      if (statement.verb == SetkeyVerb::kSpdFlush || statement.verb == SetkeyVerb::kSpdDump) {
        message.header.sa_type = pf::SaType::kUnspecified;
      }
      return std::vector{SetkeyMessage{std::move(message), false}};
    }
    case SetkeyVerb::kSpdAdd:
    case SetkeyVerb::kSpdUpdate:
    case SetkeyVerb::kSpdDelete: return spd_messages(statement, resolve, with_forward);
    default: break;
  }
  const auto pairs = pairs_of(statement, resolve);
  if (!pairs) return std::unexpected(pairs.error());
  std::vector<SetkeyMessage> out;
  for (const auto& pair : *pairs) out.push_back({sa_message(statement, pair), false});
  return out;
}

}  // namespace cygnet::cli
