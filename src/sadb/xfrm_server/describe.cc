// SPDX-License-Identifier: Apache-2.0
// Entries of the database as the kernel would show them.
#include <algorithm>

#include "sadb/xfrm_server/algorithms.h"
#include "sadb/xfrm_server/translate.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
namespace xf = wire::xfrm;

constexpr std::uint32_t kSmallWindow = 32;  // what fits into xfrm_usersa_info

std::uint64_t infinite_if_none(std::uint64_t limit) { return limit == 0 ? xf::kInfinite : limit; }

xf::LifetimeLimits limits_of(const std::optional<pf::LifetimeExtension>& hard,
                             const std::optional<pf::LifetimeExtension>& soft) {
  xf::LifetimeLimits out;
  if (hard) {
    out.hard_bytes = infinite_if_none(hard->bytes);
    out.hard_packets = infinite_if_none(hard->allocations);
    out.hard_add_s = hard->add_time;
    out.hard_use_s = hard->use_time;
  }
  if (soft) {
    out.soft_bytes = infinite_if_none(soft->bytes);
    out.soft_packets = infinite_if_none(soft->allocations);
    out.soft_add_s = soft->add_time;
    out.soft_use_s = soft->use_time;
  }
  return out;
}

xf::LifetimeCurrent current_of(const pf::LifetimeExtension& current) {
  return {current.bytes, current.allocations, current.add_time, current.use_time};
}

std::uint8_t mode_of(pf::Mode mode) {
  if (mode == pf::Mode::kTunnel) return xf::kTunnel;
  return mode == pf::Mode::kBeet ? xf::kBeet : xf::kTransport;
}

std::uint8_t flags_of(std::uint32_t flags) {
  std::uint8_t out = 0;
  if ((flags & pf::kFlagNoEcn) != 0) out |= xf::kSaNoEcn;
  if ((flags & pf::kFlagDecapDscp) != 0) out |= xf::kSaDecapDscp;
  if ((flags & pf::kFlagNoPmtuDisc) != 0) out |= xf::kSaNoPmtuDisc;
  if ((flags & pf::kFlagEsn) != 0) out |= xf::kSaEsn;
  return out;
}

xf::Template template_of(const pf::PolicyRequest& request, const PfkeySelector& selector) {
  xf::Template out;
  out.id.protocol = static_cast<std::uint8_t>(request.protocol);
  out.reqid = request.reqid;
  out.mode = mode_of(request.mode);
  out.optional = request.level == pf::Level::kUse;
  out.family = xf::family_of(selector.source.address);
  if (request.ends) {
    out.family = xf::family_of(request.ends->source.address);
    out.source = xf::Address::of(request.ends->source.address);
    out.id.destination = xf::Address::of(request.ends->destination.address);
  }
  return out;
}

[[nodiscard]] std::uint8_t protocol_of(const PfkeySa& sa) {
  switch (sa.sa_type) {
    case wire::pfkey::SaType::kAh: return wire::pfkey::kProtocolAh;
    case wire::pfkey::SaType::kIpComp: return wire::pfkey::kProtocolIpComp;
    default: return xf::kProtocolEsp;
  }
}

}  // namespace

xf::SaInfo describe_info(const PfkeyDatabase& database, const PfkeySa& sa, PfkeyTime time) {
  xf::SaInfo out;
  out.family = xf::family_of(sa.to());
  out.selector.family = out.family;
  out.id = {xf::Address::of(sa.to()), sa.spi, protocol_of(sa)};
  out.source = xf::Address::of(sa.from());
  out.limits = limits_of(sa.hard, sa.soft);
  out.current = current_of(database.current(sa, time));
  out.sequence = sa.sequence;
  out.reqid = sa.reqid;
  out.mode = mode_of(sa.mode);
  const bool large = sa.replay > kSmallWindow || (sa.flags & pf::kFlagEsn) != 0;
  out.replay_window = large ? std::uint8_t{0} : static_cast<std::uint8_t>(sa.replay);
  out.flags = flags_of(sa.flags);
  return out;
}

xf::Attributes describe_attributes(const PfkeyDatabase& database, const PfkeySa& sa, XfrmKeys keys, PfkeyTime time) {
  xf::Attributes out;
  write_algorithms(sa, keys == XfrmKeys::kShown, out);
  if (sa.nat_type != 0) {
    out.encapsulation = xf::Encapsulation{.type = sa.nat_type,
                                          .source_port = sa.nat_source_port,
                                          .destination_port = sa.nat_destination_port,
                                          .original_address = {}};
    if (sa.nat_original) {
      out.encapsulation->original_address = xf::Address::of(sa.nat_original->endpoint.address);
    }
  }
  const auto last = database.last_sequence(sa);
  const std::uint64_t sent = sa.outbound ? last : 0;
  const std::uint64_t seen = sa.outbound ? 0 : last;
  if (sa.replay > kSmallWindow || (sa.flags & pf::kFlagEsn) != 0) {
    out.replay_esn = xf::ReplayStateEsn{.sent = sent, .seen = seen, .window = sa.replay, .bitmap = {}};
    out.replay_esn->bitmap.resize(std::min<std::size_t>((sa.replay + 31) / 32, xf::kMostBitmapWords));
  } else if (sent != 0 || seen != 0) {
    out.replay = xf::ReplayState{
        .sent = static_cast<std::uint32_t>(sent), .seen = static_cast<std::uint32_t>(seen), .bitmap = 0};
  }
  if (const auto used = database.current(sa, time).use_time; used != 0) out.last_used = used;
  if (sa.tfc_octets != 0) out.tfc_pad = sa.tfc_octets;
  if (sa.keepalive_s != 0) out.nat_keepalive = sa.keepalive_s;
  if (!sa.copy_dscp) out.extra_flags = xf::kExtraDontEncapDscp;
  return out;
}

xf::SaId describe_id(const PfkeySa& sa) {
  return {xf::Address::of(sa.to()), sa.spi, xf::family_of(sa.to()), protocol_of(sa)};
}

xf::PolicyInfo describe_info(const PfkeyPolicy& policy) {
  const auto& s = policy.selector;
  xf::PolicyInfo out;
  auto& selector = out.selector;
  selector.family = xf::family_of(s.source.address);
  selector.source = xf::Address::of(s.source.address);
  selector.source_length = s.source.length;
  selector.destination = xf::Address::of(s.destination.address);
  selector.destination_length = s.destination.length;
  selector.protocol = s.protocol == pf::kAnyProtocol ? std::uint8_t{0} : s.protocol;
  selector.source_port = s.source_port;
  selector.source_port_mask = s.source_port == 0 ? std::uint16_t{0} : UINT16_MAX;
  selector.destination_port = s.destination_port;
  selector.destination_port_mask = s.destination_port == 0 ? std::uint16_t{0} : UINT16_MAX;
  out.limits = limits_of(policy.hard, policy.soft);
  out.current.added = static_cast<std::uint64_t>(policy.added_wall_s);
  out.priority = policy.priority;
  out.index = policy.id;
  using D = pf::PolicyDirection;
  out.direction = s.direction == D::kIn ? xf::kIn : s.direction == D::kOut ? xf::kOut : xf::kForward;
  out.action = policy.type == pf::PolicyType::kDiscard ? xf::kBlock : xf::kAllow;
  return out;
}

xf::Attributes describe_attributes(const PfkeyPolicy& policy) {
  xf::Attributes out;
  if (policy.type != pf::PolicyType::kIpsec) return out;
  out.templates.emplace();
  for (const auto& request : policy.requests) out.templates->push_back(template_of(request, policy.selector));
  return out;
}

xf::Migration describe_move(const XfrmMove& move) {
  xf::Migration out;
  out.reqid = move.from.reqid;
  if (move.from.ends) {
    out.old_family = xf::family_of(move.from.ends->source.address);
    out.old_source = xf::Address::of(move.from.ends->source.address);
    out.old_destination = xf::Address::of(move.from.ends->destination.address);
  }
  if (move.to.ends) {
    out.new_family = xf::family_of(move.to.ends->source.address);
    out.new_source = xf::Address::of(move.to.ends->source.address);
    out.new_destination = xf::Address::of(move.to.ends->destination.address);
  }
  return out;
}

}  // namespace cygnet::sadb
