// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/translate.h"

#include <algorithm>
#include <array>

#include "model/types_as_ports.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;

constexpr std::uint32_t kFirstSpi = 256;  // RFC 4303 section 2.1: 1 to 255 are reserved

std::uint64_t left_of(std::uint64_t limit, std::uint64_t used) {
  if (limit == 0) return 0;
  return limit > used ? limit - used : 1;
}

model::Lifetime lifetime_of(const PfkeySa& sa, Instant now) {
  model::Lifetime out;
  const auto elapsed =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now - sa.added).count());
  if (sa.soft) {
    out.soft_bytes = left_of(sa.soft->bytes, sa.bytes);
    out.soft_packets = left_of(sa.soft->allocations, sa.packets);
    out.soft_age_s = left_of(sa.soft->add_time, elapsed);
  }
  if (sa.hard) {
    out.hard_bytes = left_of(sa.hard->bytes, sa.bytes);
    out.hard_packets = left_of(sa.hard->allocations, sa.packets);
    out.hard_age_s = left_of(sa.hard->add_time, elapsed);
  }
  return out;
}

PfkeyResult<> check_nat(const PfkeySa& sa) {
  if (sa.nat_type == 0) return {};
  if (sa.sa_type == pf::SaType::kAh) {
    return refuse(EINVAL, "ah covers the addresses and cannot pass a NAT (RFC 3948 section 1): use esp");
  }
  if (sa.nat_type != pf::NatTypeExtension::kUdpEncapsulation) {
    return refuse(EOPNOTSUPP, "encapsulation type " + std::to_string(sa.nat_type) +
                                  " is not spoken: only ESP in UDP as RFC 3948 has it (2)");
  }
  if (sa.nat_source_port == 0 || sa.nat_destination_port == 0) {
    return refuse(EINVAL, "ESP in UDP needs both ports");
  }
  return {};
}

// RFC 3173 section 3.3: the CPI has 16 bits.
PfkeyResult<> check_ipcomp(const PfkeySa& sa) {
  constexpr std::uint8_t kDeflate = 2;
  if (sa.spi.value == 0 || sa.spi.value > 0xffff) return refuse(EINVAL, "the CPI of ipcomp has 16 bits: 1 to 65535");
  if (static_cast<std::uint8_t>(sa.encrypt) != kDeflate) {
    return refuse(EINVAL, "ipcomp compresses with deflate (RFC 2394) here: -C deflate");
  }
  if (sa.nat_type != 0) return refuse(EINVAL, "ipcomp has no encapsulation of its own: esp-udp goes around it");
  return {};
}

// What goes around or into the main SA is there or the packet does not go: only the main one may be optional.
PfkeyResult<> check_level(const PfkeyPolicy& policy, const pf::PolicyRequest& request) {
  if (request.level != pf::Level::kUse || policy.selector.direction != pf::PolicyDirection::kOut) return {};
  if (request.mode != pf::Mode::kTransport) {
    return refuse(EINVAL, "a tunnel cannot be optional on the way out: say require, not use");
  }
  if (!is_host_to_host(policy.selector)) {
    return refuse(EOPNOTSUPP, "level use works from one host to one host only: say require, or name both");
  }
  return {};
}

// RFC 4301 section 4.4.1.1: for ICMP the ports are type and code; setkey gives the type as source port and the code as
// destination port, 0 meaning any.
void set_types(model::TrafficSelector& side, const PfkeySelector& selector) {
  if (selector.source_port == 0) return;
  const auto type = static_cast<std::uint16_t>((selector.source_port & 0xff) << 8U);
  const auto code = static_cast<std::uint16_t>(selector.destination_port & 0xff);
  side.port_first = static_cast<std::uint16_t>(type | code);
  side.port_last = selector.destination_port == 0 ? static_cast<std::uint16_t>(type | 0xff) : side.port_first;
}

model::TrafficSelector side_of(const IpPrefix& prefix, std::uint16_t port, const PfkeySelector& selector) {
  auto side = model::TrafficSelector::of(prefix);
  if (selector.protocol != pf::kAnyProtocol) side.protocol = selector.protocol;
  if (model::has_types_as_ports(selector.protocol)) {
    set_types(side, selector);
  } else if (port != 0) {
    side.port_first = side.port_last = port;
  }
  return side;
}

void set_algorithms(const PfkeySa& sa, model::SaSpec& spec) {
  const pf::SaExtension algorithms{.auth = sa.auth, .encrypt = sa.encrypt};
  if (sa.sa_type == pf::SaType::kAh) {
    const auto integrity = integrity_of_ah(algorithms, sa.encrypt_key.size() * 8, sa.auth_key.size() * 8);
    spec.integrity = integrity.value_or(model::IntegrityId::kNone);
    return;
  }
  const auto transforms = transforms_of(algorithms, sa.encrypt_key.size() * 8, sa.auth_key.size() * 8);
  if (!transforms) return;
  spec.encryption = transforms->encryption;
  spec.encryption_bits = transforms->encryption_bits;
  spec.integrity = transforms->integrity;
}

}  // namespace

// RFC 2367 has no mode; what does not say is transport, as in Linux.
model::Mode mode_of(const PfkeySa& sa) {
  switch (sa.mode) {
    case pf::Mode::kTunnel: return model::Mode::kTunnel;
    case pf::Mode::kBeet: return model::Mode::kBeet;
    default: return model::Mode::kTransport;
  }
}

void apply(const PfkeyTerms& terms, model::SaSpec& spec) {
  const bool outbound = spec.direction == model::Direction::kOutbound;
  spec.ipcomp_cpi = terms.cpi;
  spec.inner_local = outbound ? terms.inner_source : terms.inner_destination;
  spec.inner_remote = outbound ? terms.inner_destination : terms.inner_source;
  spec.inside_ah = terms.inside_ah && !outbound;
  if (spec.mode == model::Mode::kTransport && terms.mode == model::Mode::kTunnel && outbound) {
    // Compressed into a tunnel, the inner packet has addresses of its own.
    spec.local_selectors.clear();
    spec.remote_selectors.clear();
  }
  spec.mode = terms.mode;
}

bool is_host_to_host(const PfkeySelector& selector) {
  return selector.source.length == selector.source.address.bits() &&
         selector.destination.length == selector.destination.address.bits();
}

PfkeyResult<> check_sa(const PfkeySa& sa) {
  if (sa.spi.value < kFirstSpi && sa.sa_type != pf::SaType::kIpComp) {
    return refuse(EINVAL, "SPIs below 256 are reserved (RFC 4303 section 2.1)");
  }
  if (sa.from().family() != sa.to().family()) {
    return refuse(EINVAL, "source and destination of an SA must both be IPv4 or both IPv6");
  }
  if (sa.to().is_unspecified()) return refuse(EINVAL, "an SA needs a destination address");
  if (sa.sa_type == pf::SaType::kIpComp) return check_ipcomp(sa);
  if ((sa.flags & pf::kFlagDecapDscp) != 0) {
    return refuse(EOPNOTSUPP, "the engine never copies the outer DSCP inwards (flag decap-dscp)");
  }
  if (const auto unknown = sa.flags & ~pf::kKnownFlags; unknown != 0) {
    std::array<std::uint8_t, 4> octets{};
    store_be32(octets.data(), unknown);
    return refuse(EOPNOTSUPP, "the engine does not do what the flag 0x" + to_hex(octets) + " asks for");
  }
  const auto nat = check_nat(sa);
  if (!nat) return nat;
  const pf::SaExtension algorithms{.auth = sa.auth, .encrypt = sa.encrypt};
  if (sa.sa_type == pf::SaType::kAh) {
    if (sa.mode == pf::Mode::kBeet) return refuse(EOPNOTSUPP, "ah has no BEET mode here");
    const auto integrity = integrity_of_ah(algorithms, sa.encrypt_key.size() * 8, sa.auth_key.size() * 8);
    if (!integrity) return std::unexpected(integrity.error());
    return {};
  }
  const auto transforms = transforms_of(algorithms, sa.encrypt_key.size() * 8, sa.auth_key.size() * 8);
  if (!transforms) return std::unexpected(transforms.error());
  return {};
}

PfkeyResult<> check_policy(const PfkeyPolicy& policy) {
  using pf::PolicyDirection;
  using pf::PolicyType;
  const auto& selector = policy.selector;
  if (selector.direction == PolicyDirection::kAny) return refuse(EINVAL, "a policy must say in, out or fwd");
  if (selector.source.address.family() != selector.destination.address.family()) {
    return refuse(EINVAL, "source and destination of a policy must both be IPv4 or both IPv6");
  }
  constexpr std::uint8_t kGre = 47;
  if (selector.protocol == kGre && (selector.source_port != 0 || selector.destination_port != 0)) {
    return refuse(EOPNOTSUPP, "the engine does not look at GRE keys: leave the key out");
  }
  if (policy.type == PolicyType::kEntrust) {
    return refuse(EINVAL, "entrust is for sockets: a policy of the database is discard, none, bypass or ipsec");
  }
  if (policy.type == PolicyType::kDiscard && selector.direction != PolicyDirection::kOut) {
    return refuse(EOPNOTSUPP,
                  "the engine sees no packet that arrives in the clear and cannot discard it: use a firewall rule");
  }
  if ((policy.hard && policy.hard->use_time != 0) || (policy.soft && policy.soft->use_time != 0)) {
    return refuse(EOPNOTSUPP, "a policy can expire by its age, not by the time since it was used");
  }
  if (policy.type != PolicyType::kIpsec) {
    return policy.requests.empty() ? PfkeyResult<>{}
                                   : refuse(EINVAL, "a policy that does not protect asks for protection");
  }
  if (policy.requests.empty()) return refuse(EINVAL, "a policy that protects must say how");
  if (auto stack = check_stack(policy); !stack) return stack;
  return check_level(policy, stack_of(policy).main());
}

model::SaSpec sa_spec_of(const PfkeySa& sa, model::Direction direction, Instant now) {
  const bool outbound = direction == model::Direction::kOutbound;
  model::SaSpec spec;
  spec.direction = direction;
  spec.spi = sa.spi;
  spec.child = sa.child();
  spec.policy = sa.group;
  spec.connection = "(pfkey)";
  spec.protocol = sa.sa_type == pf::SaType::kAh ? model::SaProtocol::kAh : model::SaProtocol::kEsp;
  spec.mode = mode_of(sa);
  const bool nat = sa.nat_type != 0;
  const Endpoint from{sa.from(), nat ? sa.nat_source_port : std::uint16_t{0}};
  const Endpoint to{sa.to(), nat ? sa.nat_destination_port : std::uint16_t{0}};
  spec.local = outbound ? from : to;
  spec.remote = outbound ? to : from;
  spec.udp_encapsulation = nat;
  // What an outbound SA takes is the policy's to say; in transport mode it is between these two in any case.
  if (outbound && spec.mode == model::Mode::kTransport) {
    spec.local_selectors = {model::TrafficSelector::of(IpPrefix::host(sa.from()))};
    spec.remote_selectors = {model::TrafficSelector::of(IpPrefix::host(sa.to()))};
  }
  set_algorithms(sa, spec);
  spec.encryption_key = sa.encrypt_key;
  spec.integrity_key = sa.auth_key;
  spec.esn = (sa.flags & pf::kFlagEsn) != 0;
  spec.replay_window = sa.replay;
  spec.sequence = outbound ? sa.sent : sa.seen;
  spec.lifetime = lifetime_of(sa, now);
  spec.ecn = (sa.flags & pf::kFlagNoEcn) == 0;
  if ((sa.flags & pf::kFlagNoPmtuDisc) != 0) spec.df = model::DfPolicy::kClear;
  spec.mtu = sa.nat_fragment;
  spec.copy_dscp = sa.copy_dscp;
  if (outbound) {
    spec.keepalive_s = sa.keepalive_s;
    spec.tfc_octets = sa.tfc_octets;
  }
  return spec;
}

PfkeyTraffic traffic_of(const PfkeySelector& selector) {
  const auto source = side_of(selector.source, selector.source_port, selector);
  const auto destination = side_of(selector.destination, selector.destination_port, selector);
  const bool out = selector.direction == pf::PolicyDirection::kOut;
  return out ? PfkeyTraffic{source, destination} : PfkeyTraffic{destination, source};
}

model::PolicySpec policy_spec_of(const PfkeyPolicy& policy, bool protect) {
  const auto traffic = traffic_of(policy.selector);
  model::PolicySpec spec;
  spec.id = policy.engine_id();
  spec.order = policy.priority;
  spec.local = {traffic.local};
  spec.remote = {traffic.remote};
  spec.connection = "(pfkey)";
  if (policy.type == pf::PolicyType::kDiscard) {
    spec.action = model::PolicyAction::kDiscard;
  } else if (policy.type != pf::PolicyType::kIpsec || !protect) {
    spec.action = model::PolicyAction::kBypass;
  } else {
    spec.action = model::PolicyAction::kProtect;
    spec.acquire = true;
    spec.group = policy.group;
    spec.ah_group = policy.ah_group;
    spec.mode = stack_of(policy).mode();
  }
  return spec;
}

}  // namespace cygnet::sadb
