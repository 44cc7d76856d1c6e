// SPDX-License-Identifier: Apache-2.0
#include "sadb/xfrm_server/translate.h"

#include <algorithm>

#include "model/types_as_ports.h"
#include "sadb/xfrm_server/algorithms.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
namespace xf = wire::xfrm;

// Neither an engine nor a key has that much, and the kernel's "infinite" is above it.
constexpr std::uint64_t kUnlimited = 1ULL << 62U;

std::uint64_t limit_of(std::uint64_t said) { return said >= kUnlimited ? 0 : said; }

std::optional<pf::LifetimeExtension> lifetime_of(std::uint64_t bytes, std::uint64_t packets, std::uint64_t add_s,
                                                 std::uint64_t use_s) {
  pf::LifetimeExtension out;
  out.bytes = limit_of(bytes);
  // PF_KEY's field, in which the database keeps it, is shorter: a limit beyond it comes a little early.
  out.allocations = static_cast<std::uint32_t>(std::min<std::uint64_t>(limit_of(packets), UINT32_MAX));
  out.add_time = limit_of(add_s);
  out.use_time = limit_of(use_s);
  if (out == pf::LifetimeExtension{}) return std::nullopt;
  return out;
}

PfkeyResult<pf::Mode> mode_of(std::uint8_t mode) {
  switch (mode) {
    case xf::kTransport: return pf::Mode::kTransport;
    case xf::kTunnel: return pf::Mode::kTunnel;
    case xf::kBeet: return pf::Mode::kBeet;
    default:
      return refuse(EOPNOTSUPP, "mode " + std::to_string(mode) +
                                    " (route optimization, in-trigger, IP-TFS) is not set up over NETLINK_XFRM");
  }
}

PfkeyResult<std::uint16_t> family_of(std::uint16_t family) {
  if (family == xf::kFamilyV4 || family == xf::kFamilyV6) return family;
  return refuse(EINVAL, "address family " + std::to_string(family) + " is neither IPv4 nor IPv6");
}

PfkeyResult<pf::SaType> type_of(std::uint8_t protocol) {
  if (protocol == xf::kProtocolEsp) return pf::SaType::kEsp;
  if (protocol == xf::kProtocolAh) return pf::SaType::kAh;
  if (protocol == xf::kProtocolIpComp) return refuse(EPROTONOSUPPORT, "IPComp is not set up over NETLINK_XFRM");
  return refuse(EINVAL, "protocol " + std::to_string(protocol) + " is no IPsec");
}

// An SA that was somewhere else before goes on behind its last numbers. Which of those before them came is not asked:
// what is still under way is lost, and nothing comes twice.
PfkeyResult<> read_sequence(const xf::Attributes& attributes, PfkeySa& sa) {
  if (attributes.replay_esn) {
    sa.sent = attributes.replay_esn->sent;
    sa.seen = attributes.replay_esn->seen;
  } else if (attributes.replay) {
    sa.sent = attributes.replay->sent;
    sa.seen = attributes.replay->seen;
  }
  const bool long_ones = sa.sent > UINT32_MAX || sa.seen > UINT32_MAX;
  if (!long_ones || (sa.flags & pf::kFlagEsn) != 0) return {};
  return refuse(EINVAL, "a sequence number above 32 bits in an SA without extended ones (flag esn)");
}

PfkeyResult<> check_attributes(const xf::Attributes& a) {
  if (auto table = check_one_table(a); !table) return table;
  const auto cannot = [](const char* what) {
    return refuse(EOPNOTSUPP, std::string("the engine does not do ") + what);
  };
  if (a.security_context) return cannot("security contexts: it does not separate traffic by labels");
  if (a.offload) return cannot("offload to network cards: set it off in the program's configuration");
  if (a.care_of_address) return cannot("care-of addresses of Mobile IPv6");
  if (a.replay_threshold || a.timer_threshold)
    return cannot("events about sequence numbers (replay, timer thresholds)");
  if (a.cpu) return cannot("SAs of one processor");
  if (a.iptfs_drop_time_us || a.iptfs_reorder_window || a.iptfs_packet_size || a.iptfs_dont_fragment) {
    return cannot("IP-TFS over NETLINK_XFRM");
  }
  if (a.extra_flags && (*a.extra_flags & ~xf::kExtraDontEncapDscp) != 0) return cannot("sequence numbers that wrap");
  return {};
}

// Flags that say what the engine does anyway, or need not do for what it carries, are taken: ICMP errors about a
// tunnel's packets are looked at as any other, IPv6 options need no alignment in ESP, and any family goes through a
// tunnel that its policies let through.
PfkeyResult<std::uint32_t> flags_of(std::uint8_t flags) {
  if ((flags & xf::kSaWildReceive) != 0) {
    return refuse(EOPNOTSUPP, "the engine does not do SAs without a source (flag wildrecv, of Mobile IPv6)");
  }
  std::uint32_t out = 0;
  if ((flags & xf::kSaNoEcn) != 0) out |= pf::kFlagNoEcn;
  if ((flags & xf::kSaDecapDscp) != 0) out |= pf::kFlagDecapDscp;
  if ((flags & xf::kSaNoPmtuDisc) != 0) out |= pf::kFlagNoPmtuDisc;
  if ((flags & xf::kSaEsn) != 0) out |= pf::kFlagEsn;
  return out;
}

void read_encapsulation(const xf::Attributes& attributes, std::uint16_t family, PfkeySa& sa) {
  if (!attributes.encapsulation) return;
  const auto& said = *attributes.encapsulation;
  sa.nat_type = static_cast<std::uint8_t>(std::min<std::uint16_t>(said.type, UINT8_MAX));
  sa.nat_source_port = said.source_port;
  sa.nat_destination_port = said.destination_port;
  if (said.original_address != xf::Address{}) {
    sa.nat_original = pf::AddressExtension::host(said.original_address.as(family));
  }
  sa.keepalive_s = attributes.nat_keepalive.value_or(0);
}

PfkeyResult<std::uint16_t> port_of(std::uint16_t port, std::uint16_t mask) {
  if (mask == 0) return std::uint16_t{0};
  if (mask != UINT16_MAX) return refuse(EOPNOTSUPP, "a range of ports by a mask: name one port, or all");
  if (port == 0) return refuse(EOPNOTSUPP, "port 0, or ICMP type 0, alone: name another, or all");
  return port;
}

// ICMP: the type stands where the source port stands, the code where the destination port stands, and code 0 is one.
PfkeyResult<> read_ports(const xf::Selector& said, PfkeySelector& out) {
  const bool icmp = model::has_types_as_ports(said.protocol);
  const auto source = port_of(said.source_port, said.source_port_mask);
  if (!source) return std::unexpected(source.error());
  out.source_port = *source;
  if (icmp && said.destination_port == 0) return {};
  const auto destination = port_of(said.destination_port, said.destination_port_mask);
  if (!destination) return std::unexpected(destination.error());
  out.destination_port = *destination;
  return {};
}

IpPrefix prefix_of(const xf::Address& address, std::uint16_t family, std::uint8_t length) {
  const IpPrefix given{address.as(family), length};
  return {given.network(), given.length};
}

PfkeyResult<pf::PolicyRequest> request_of(const xf::Template& said, std::uint16_t selector_family) {
  const auto mode = mode_of(said.mode);
  if (!mode) return std::unexpected(mode.error());
  pf::PolicyRequest out{.protocol = said.id.protocol, .mode = *mode, .level = pf::Level::kRequire, .reqid = said.reqid};
  // As in the kernel: an SA serves a template of its own reqid only.
  if (said.reqid != 0) out.level = pf::Level::kUnique;
  if (said.optional) out.level = pf::Level::kUse;
  if (*mode == pf::Mode::kTransport) return out;
  const auto family = said.family == xf::kFamilyAny ? selector_family : said.family;
  if (auto known = family_of(family); !known) return std::unexpected(known.error());
  out.ends = pf::PolicyRequest::Ends{{said.source.as(family), 0}, {said.id.destination.as(family), 0}};
  return out;
}

pf::PolicyRequest tunnel(std::uint32_t reqid, const IpAddress& source, const IpAddress& destination) {
  return {.protocol = pf::kProtocolEsp,
          .mode = pf::Mode::kTunnel,
          .level = reqid == 0 ? pf::Level::kRequire : pf::Level::kUnique,
          .reqid = reqid,
          .ends = pf::PolicyRequest::Ends{{source, 0}, {destination, 0}}};
}

}  // namespace

PfkeyResult<> check_one_table(const xf::Attributes& attributes) {
  const bool marked = (attributes.mark && (attributes.mark->value & attributes.mark->mask) != 0) ||
                      (attributes.set_mark && *attributes.set_mark != 0);
  if (marked) return refuse(EOPNOTSUPP, "the engine does not choose SAs and policies by marks, nor sets them");
  if (attributes.interface_id && *attributes.interface_id != 0) {
    return refuse(EOPNOTSUPP, "the engine has no XFRM interfaces (if_id): clear text appears on its own device");
  }
  if (attributes.policy_type && *attributes.policy_type == xf::kSub) {
    return refuse(EOPNOTSUPP, "there are no sub-policies");
  }
  return {};
}

PfkeyResult<PfkeySa> xfrm_sa_draft(const xf::SaInfo& info, const xf::Attributes& attributes, bool with_algorithms) {
  const auto type = type_of(info.id.protocol);
  if (!type) return std::unexpected(type.error());
  const auto family = family_of(info.family);
  if (!family) return std::unexpected(family.error());
  if (auto checked = check_attributes(attributes); !checked) return std::unexpected(checked.error());
  const auto mode = mode_of(info.mode);
  if (!mode) return std::unexpected(mode.error());
  const auto flags = flags_of(info.flags);
  if (!flags) return std::unexpected(flags.error());
  PfkeySa sa;
  sa.sa_type = *type;
  sa.spi = info.id.spi;
  sa.source = pf::AddressExtension::host(info.source.as(*family));
  sa.destination = pf::AddressExtension::host(info.id.destination.as(*family));
  sa.mode = *mode;
  sa.reqid = info.reqid;
  sa.flags = *flags;
  sa.sequence = info.sequence;
  sa.replay = attributes.replay_esn ? attributes.replay_esn->window : info.replay_window;
  const auto& l = info.limits;
  sa.hard = lifetime_of(l.hard_bytes, l.hard_packets, l.hard_add_s, l.hard_use_s);
  sa.soft = lifetime_of(l.soft_bytes, l.soft_packets, l.soft_add_s, l.soft_use_s);
  sa.tfc_octets = attributes.tfc_pad.value_or(0);
  sa.copy_dscp = (attributes.extra_flags.value_or(0) & xf::kExtraDontEncapDscp) == 0;
  read_encapsulation(attributes, *family, sa);
  if (auto read = read_sequence(attributes, sa); !read) return std::unexpected(read.error());
  if (with_algorithms) {
    if (auto read = read_algorithms(attributes, sa); !read) return std::unexpected(read.error());
  }
  return sa;
}

PfkeyResult<PfkeySelector> xfrm_selector(const xf::Selector& said, std::uint8_t direction) {
  const auto family = family_of(said.family);
  if (!family) return std::unexpected(family.error());
  if (said.interface_index != 0) return refuse(EOPNOTSUPP, "policies for one interface: the engine has its own device");
  if (said.user != 0) return refuse(EOPNOTSUPP, "policies for one user");
  if (direction > xf::kForward) return refuse(EINVAL, "there is no direction " + std::to_string(direction));
  PfkeySelector out;
  using D = pf::PolicyDirection;
  out.direction = direction == xf::kIn ? D::kIn : direction == xf::kOut ? D::kOut : D::kForward;
  out.source = prefix_of(said.source, *family, said.source_length);
  out.destination = prefix_of(said.destination, *family, said.destination_length);
  out.protocol = said.protocol == 0 ? pf::kAnyProtocol : said.protocol;
  if (auto ports = read_ports(said, out); !ports) return std::unexpected(ports.error());
  return out;
}

PfkeyResult<PfkeyPolicy> xfrm_policy_draft(const xf::PolicyInfo& info, const xf::Attributes& attributes) {
  if (auto table = check_one_table(attributes); !table) return std::unexpected(table.error());
  if (attributes.security_context) return refuse(EOPNOTSUPP, "the engine does not separate traffic by labels");
  if (attributes.offload) return refuse(EOPNOTSUPP, "the engine offloads no policies to network cards");
  const auto selector = xfrm_selector(info.selector, info.direction);
  if (!selector) return std::unexpected(selector.error());
  PfkeyPolicy policy;
  policy.selector = *selector;
  policy.priority = info.priority;
  policy.any_reqid = true;
  const auto& l = info.limits;
  policy.hard = lifetime_of(l.hard_bytes, l.hard_packets, l.hard_add_s, l.hard_use_s);
  policy.soft = lifetime_of(l.soft_bytes, l.soft_packets, l.soft_add_s, l.soft_use_s);
  const bool protects = attributes.templates && !attributes.templates->empty();
  if (info.action == xf::kBlock) {
    policy.type = pf::PolicyType::kDiscard;
    return policy;
  }
  policy.type = protects ? pf::PolicyType::kIpsec : pf::PolicyType::kNone;
  if (!protects) return policy;
  for (const auto& said : *attributes.templates) {
    auto request = request_of(said, info.selector.family);
    if (!request) return std::unexpected(request.error());
    policy.requests.push_back(*request);
  }
  return policy;
}

PfkeyResult<XfrmMove> xfrm_move(const xf::Migration& said) {
  if (said.protocol != xf::kProtocolEsp || said.mode != xf::kTunnel) {
    return refuse(EOPNOTSUPP, "only ESP tunnels have ends that can move");
  }
  const auto old_family = family_of(said.old_family);
  if (!old_family) return std::unexpected(old_family.error());
  const auto new_family = family_of(said.new_family);
  if (!new_family) return std::unexpected(new_family.error());
  return XfrmMove{tunnel(said.reqid, said.old_source.as(*old_family), said.old_destination.as(*old_family)),
                  tunnel(said.reqid, said.new_source.as(*new_family), said.new_destination.as(*new_family))};
}

}  // namespace cygnet::sadb
