// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/configuration.h"

#include <algorithm>

#include "ike/address_source.h"
#include "ike/v2/address_owners.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using model::TrafficSelector;
using model::TrafficSelectors;

// RFC 7296 section 3.15.1, RFC 8598 section 4.1.
enum Attribute : std::uint16_t {
  kIp4Address = 1,
  kIp4Netmask = 2,
  kIp4Dns = 3,
  kIp6Address = 8,
  kIp6Dns = 10,
  kIp4Subnet = 13,
  kSupported = 14,
  kIp6Subnet = 15,
  kDnsDomain = 25
};
constexpr std::size_t kMostServers = 8;
constexpr std::size_t kMostDomains = 64;

Bytes octets(const IpAddress& address) { return {address.bytes().begin(), address.bytes().end()}; }

std::optional<IpAddress> address_in(const wi::ConfigurationAttribute& attribute) {
  const auto& v = attribute.value;
  // INTERNAL_IP6_ADDRESS: sixteen octets and a prefix length.
  if (attribute.type == kIp6Address && v.size() == 17) return IpAddress::from_bytes(ByteView(v).first(16));
  const std::size_t wanted = attribute.type == kIp4Address || attribute.type == kIp4Dns ? 4 : 16;
  if (attribute.type == kIp6Address || v.size() != wanted) return std::nullopt;
  return IpAddress::from_bytes(v);
}

const wi::ConfigurationPayload* find_payload(const wi::Payloads& payloads, wi::ConfigurationType type) {
  for (const auto& payload : payloads) {
    const auto* cp = std::get_if<wi::ConfigurationPayload>(&payload);
    if (cp != nullptr && cp->type == type) return cp;
  }
  return nullptr;
}

bool has(const wi::ConfigurationPayload& payload, std::uint16_t type) {
  return std::any_of(payload.attributes.begin(), payload.attributes.end(),
                     [&](const auto& a) { return a.type == type; });
}

std::string words(const std::vector<IpAddress>& addresses) {
  std::string out;
  for (const auto& a : addresses) out += (out.empty() ? "" : ", ") + a.to_string();
  return out;
}

bool has_family(const std::vector<IpAddress>& addresses, Family family) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const IpAddress& a) { return a.family() == family; });
}

TrafficSelectors hosts(const std::vector<IpAddress>& addresses) {
  TrafficSelectors out;
  for (const auto& a : addresses) out.push_back(TrafficSelector::of(IpRange::of(a)));
  return out;
}

// ---- responder

std::optional<IpAddress> wish_in(const wi::ConfigurationPayload& request, std::uint16_t type) {
  for (const auto& attribute : request.attributes) {
    if (attribute.type != type) continue;
    const auto wish = address_in(attribute);
    if (wish && !wish->is_unspecified()) return wish;
  }
  return std::nullopt;
}

void add_subnets(const model::Connection& connection, const wi::ConfigurationPayload& request,
                 wi::ConfigurationPayload& reply) {
  for (const auto& child : connection.children) {
    for (const auto& selector : child.local) {
      const auto prefix = selector.range.as_prefix();
      const bool v4 = selector.range.first.is_v4();
      if (!prefix || prefix->length == 0 || !has(request, v4 ? kIp4Subnet : kIp6Subnet)) continue;
      Bytes value = octets(prefix->network());
      if (v4) {
        const Bytes mask = octets(IpAddress::v4(~std::uint32_t{0} << (32U - prefix->length)));
        value.insert(value.end(), mask.begin(), mask.end());
      } else {
        value.push_back(prefix->length);
      }
      reply.attributes.push_back({v4 ? kIp4Subnet : kIp6Subnet, std::move(value)});
    }
  }
}

wi::ConfigurationPayload reply_to(const IkeSa& sa, const wi::ConfigurationPayload& request) {
  wi::ConfigurationPayload reply;
  reply.type = wi::ConfigurationType::kReply;
  for (const auto& address : sa.assigned.addresses) {
    Bytes value = octets(address);
    if (address.is_v6()) value.push_back(128);
    reply.attributes.push_back({address.is_v4() ? kIp4Address : kIp6Address, std::move(value)});
    // One host: "it MUST be used only with an INTERNAL_IP4_ADDRESS attribute".
    if (address.is_v4() && has(request, kIp4Netmask)) reply.attributes.push_back({kIp4Netmask, Bytes(4, 0xff)});
  }
  for (const auto& server : sa.connection->dns) {
    if (has_family(sa.assigned.addresses, server.family()) || has(request, server.is_v4() ? kIp4Dns : kIp6Dns))
      reply.attributes.push_back({server.is_v4() ? kIp4Dns : kIp6Dns, octets(server)});
  }
  // RFC 8598 section 3.2: names only for an initiator that asked for INTERNAL_DNS_DOMAIN.
  if (has(request, kDnsDomain)) {
    for (const auto& domain : sa.connection->dns_domains)
      reply.attributes.push_back({kDnsDomain, Bytes(domain.begin(), domain.end())});
  }
  add_subnets(*sa.connection, request, reply);
  if (has(request, kSupported)) {
    Bytes list;
    for (const std::uint16_t type :
         {kIp4Address, kIp4Netmask, kIp4Dns, kIp6Address, kIp6Dns, kIp4Subnet, kSupported, kIp6Subnet, kDnsDomain}) {
      list.push_back(static_cast<std::uint8_t>(type >> 8U));
      list.push_back(static_cast<std::uint8_t>(type));
    }
    reply.attributes.push_back({kSupported, std::move(list)});
  }
  return reply;
}

// ---- initiator

bool is_wanted_address(const IkeSa& sa, const IpAddress& address) {
  const auto& local = sa.connection->local;
  const bool asked = address.is_v4() ? local.request_ip4 : local.request_ip6;
  // The peer's own address, or the one we talk from, would cut the tunnel off from the network that carries it.
  return asked && model::is_assignable(address) && address != sa.path.remote.address &&
         address != sa.path.local.address && !has_family(sa.assigned.addresses, address.family());
}

// What is left out of a reply.
struct LeftOut {
  std::size_t unusable = 0;
  std::string taken;               // addresses that are somebody else's, in words
  std::vector<IpAddress> outside;  // DNS servers that would be asked in the clear
};

LeftOut read_reply(const World& world, IkeSa& sa, const wi::Payloads& answer, const wi::ConfigurationPayload& reply) {
  auto& got = sa.assigned;
  LeftOut out;
  for (const auto& attribute : reply.attributes) {
    switch (attribute.type) {
      case kIp4Address:
      case kIp6Address:
        if (const auto a = address_in(attribute); !a || !is_wanted_address(sa, *a)) {
          ++out.unusable;
        } else if (const auto owner = other_owner(world, sa, *a); !owner.empty()) {
          ++out.unusable;
          out.taken += (out.taken.empty() ? "" : "; ") + a->to_string() + ": " + owner;
        } else {
          got.addresses.push_back(*a);
        }
        break;
      case kIp4Dns:
      case kIp6Dns:
        if (const auto a = address_in(attribute); !a || !model::is_assignable(*a) || got.dns.size() >= kMostServers) {
          ++out.unusable;
        } else if (is_asked_through_tunnel(sa, answer, *a)) {
          got.dns.push_back(*a);
        } else if (out.outside.size() < kMostServers) {
          out.outside.push_back(*a);
        }
        break;
      case kDnsDomain: {
        const std::string name(attribute.value.begin(), attribute.value.end());
        if (model::is_domain_name(name) && got.domains.size() < kMostDomains) {
          got.domains.push_back(name);
        } else {
          ++out.unusable;
        }
        break;
      }
      default: break;
    }
  }
  if (got.dns.empty() && !out.outside.empty()) got.domains.clear();
  return out;
}

void report_left_out(World& world, const IkeSa& sa, const LeftOut& left_out) {
  if (left_out.unusable != 0) {
    world.report(
        sa, Severity::kWarning, "configuration-unusable",
        sa.peer() + " sent " + std::to_string(left_out.unusable) +
            " configuration attributes that cannot be used here (wrong length, not asked for, no address a host can "
            "have, or one that another connection has)" +
            (left_out.taken.empty() ? "" : ": " + left_out.taken));
  }
  if (!left_out.outside.empty() && !sa.connection->ignore_peer_dns) {
    world.report(sa, Severity::kWarning, "dns-outside-tunnel",
                 sa.peer() + " names the DNS servers " + words(left_out.outside) +
                     ", which are in none of the networks that it protects: they are not used, for they would be asked "
                     "in the clear");
  }
}

void announce(World& world, const IkeSa& sa) {
  world.act(
      AddressesAssigned{sa.name(), sa.assigned.holder, sa.assigned.addresses, sa.assigned.dns, sa.assigned.domains});
}

}  // namespace

std::optional<wi::ConfigurationPayload> ask_for_addresses(const World& world, const IkeSa& sa) {
  const auto& local = sa.connection->local;
  if (!local.requests_address()) return std::nullopt;
  const auto before = world.last_assigned.find(sa.name());
  const auto wish = [&](Family family) {
    // RFC 7296 section 3.15.1: in a request the value is the address we would like to have; without one any will do.
    if (before != world.last_assigned.end()) {
      for (const auto& a : before->second) {
        if (a.family() == family) return octets(a);
      }
    }
    return Bytes{};
  };
  wi::ConfigurationPayload out;
  if (local.request_ip4) {
    out.attributes.push_back({kIp4Address, wish(Family::kV4)});
    out.attributes.push_back({kIp4Dns, {}});
  }
  if (local.request_ip6) {
    Bytes value = wish(Family::kV6);
    if (!value.empty()) value.push_back(128);
    out.attributes.push_back({kIp6Address, std::move(value)});
    out.attributes.push_back({kIp6Dns, {}});
  }
  out.attributes.push_back({kDnsDomain, {}});
  return out;
}

std::optional<Refusal> take_addresses(World& world, IkeSa& sa, const wi::Payloads& answer) {
  if (!sa.connection->local.requests_address()) return std::nullopt;
  sa.assigned = {};
  const auto* reply = find_payload(answer, wi::ConfigurationType::kReply);
  const auto left_out = reply == nullptr ? LeftOut{} : read_reply(world, sa, answer, *reply);
  report_left_out(world, sa, left_out);
  if (sa.assigned.addresses.empty()) {
    sa.assigned = {};
    if (!left_out.taken.empty()) {
      return Refusal{{},
                     {},
                     "no-address-assigned",
                     sa.peer() + " assigned an address that is not its to give: " + left_out.taken +
                         ". It needs another pool (rightaddresspool= there)"};
    }
    return Refusal{{},
                   {},
                   "no-address-assigned",
                   sa.peer() +
                       " assigned no address: does it have a pool for this connection (rightaddresspool= there)? "
                       "Without one, remove leftsourceip=%config here"};
  }
  if (sa.connection->ignore_peer_dns) {
    sa.assigned.dns.clear();
    sa.assigned.domains.clear();
  }
  sa.assigned.holder = sa.local_spi().value;
  world.last_assigned[sa.name()] = sa.assigned.addresses;
  announce(world, sa);
  world.report(sa, Severity::kNotice, "address-assigned",
               sa.peer() + " assigned " + words(sa.assigned.addresses) +
                   (sa.assigned.dns.empty() ? "" : ", DNS " + words(sa.assigned.dns)));
  return std::nullopt;
}

std::optional<Refusal> assign_addresses(World& world, IkeSa& sa, const wi::Payloads& request, wi::Payloads& answer) {
  const auto* wanted = find_payload(request, wi::ConfigurationType::kRequest);
  const auto& connection = *sa.connection;
  if (connection.remote.pools.empty() || world.settings.addresses == nullptr) return std::nullopt;
  const bool asks = wanted != nullptr && (has(*wanted, kIp4Address) || has(*wanted, kIp6Address));
  if (!asks) {
    const bool only_assigned = std::all_of(connection.children.begin(), connection.children.end(),
                                           [](const model::Child& c) { return c.remote.empty(); });
    if (!only_assigned) return std::nullopt;
    // RFC 7296 section 2.19: if CP is required "but IRAC has failed to send a CP(CFG_REQUEST), IRAS MUST fail the
    // request, and terminate the Child SA creation with a FAILED_CP_REQUIRED error".
    return Refusal{wi::NotifyType::kFailedCpRequired,
                   {},
                   "configuration-required",
                   sa.peer() + " asks for no address, but connection " + connection.name +
                       " serves only peers that get one from its pool: write leftsourceip=%config at the peer"};
  }
  sa.assigned = {};
  sa.assigned.by_us = true;
  sa.assigned.holder = sa.local_spi().value;
  std::string why;
  for (const auto& [type, family] : {std::pair{kIp4Address, Family::kV4}, std::pair{kIp6Address, Family::kV6}}) {
    const bool pool = std::any_of(connection.remote.pools.begin(), connection.remote.pools.end(),
                                  [f = family](const auto& p) { return p.family() == f; });
    if (!has(*wanted, type) || !pool) continue;
    auto got = world.settings.addresses->assign({.connection = connection,
                                                 .peer = sa.remote_id,
                                                 .from = sa.path.remote.address,
                                                 .family = family,
                                                 .wish = wish_in(*wanted, type),
                                                 .holder = sa.assigned.holder});
    if (got) {
      sa.assigned.addresses.push_back(*got);
    } else {
      why += (why.empty() ? "" : "; ") + got.error().message;
    }
  }
  if (sa.assigned.addresses.empty()) {
    sa.assigned = {};
    // RFC 7296 section 3.15.4: "If the responder encounters an error while attempting to assign an IP address to the
    // initiator", it answers INTERNAL_ADDRESS_FAILURE, and no child is made.
    return Refusal{
        wi::NotifyType::kInternalAddressFailure,
        {},
        "no-address-free",
        "no address for '" + sa.remote_id.to_string() + "' at " + sa.peer() + ": " +
            (why.empty() ? "it asks for a family that connection " + connection.name + " has no pool of" : why)};
  }
  if (!why.empty()) world.report(sa, Severity::kWarning, "no-address-free", "one address fewer for the peer: " + why);
  answer.emplace_back(reply_to(sa, *wanted));
  world.report(sa, Severity::kNotice, "address-assigned",
               "assigned " + words(sa.assigned.addresses) + " to '" + sa.remote_id.to_string() + "'");
  return std::nullopt;
}

void give_addresses_back(World& world, IkeSa& sa) {
  const auto had = std::exchange(sa.assigned, {});
  if (had.addresses.empty()) return;
  if (!had.by_us) return world.act(AddressesWithdrawn{sa.name(), had.holder});
  if (world.settings.addresses == nullptr) return;
  for (const auto& address : had.addresses) world.settings.addresses->release(address, had.holder);
}

void claim_addresses(World& world, IkeSa& sa) {
  if (sa.assigned.addresses.empty()) return;
  if (!sa.assigned.by_us) {
    world.last_assigned[sa.name()] = sa.assigned.addresses;
    return announce(world, sa);
  }
  if (world.settings.addresses == nullptr) return;
  for (const auto& address : sa.assigned.addresses)
    world.settings.addresses->claim(sa.remote_id, sa.path.remote.address, address, sa.assigned.holder);
}

std::optional<TrafficSelectors> assigned_local(const IkeSa& sa, const model::Connection& connection,
                                               const model::Child& child) {
  if (!connection.local.requests_address() || !child.local.empty()) return std::nullopt;
  if (!sa.assigned.by_us && !sa.assigned.addresses.empty()) return hosts(sa.assigned.addresses);
  // Not known yet: RFC 7296 section 2.19 shows TSi as the whole address space, which the responder narrows.
  TrafficSelectors all;
  if (connection.local.request_ip4) all.push_back(TrafficSelector::of(IpRange::all(Family::kV4)));
  if (connection.local.request_ip6) all.push_back(TrafficSelector::of(IpRange::all(Family::kV6)));
  return all;
}

std::optional<TrafficSelectors> assigned_remote(const IkeSa& sa, const model::Connection& connection,
                                                const model::Child& child) {
  if (connection.remote.pools.empty()) return std::nullopt;
  const auto leased = sa.assigned.by_us ? hosts(sa.assigned.addresses) : TrafficSelectors{};
  if (child.remote.empty()) return leased;
  // Networks behind the peer stay what they are; of a pool it gets its own addresses alone.
  TrafficSelectors out;
  for (const auto& selector : child.remote) {
    const bool in_pool = std::any_of(connection.remote.pools.begin(), connection.remote.pools.end(),
                                     [&](const auto& p) { return p.range.intersect(selector.range).has_value(); });
    if (!in_pool) {
      out.push_back(selector);
      continue;
    }
    for (const auto& own : leased) {
      if (const auto both = selector.intersect(own)) out.push_back(*both);
    }
  }
  return out;
}

}  // namespace cygnet::ike::v2
