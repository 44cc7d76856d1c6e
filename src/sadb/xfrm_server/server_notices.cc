// SPDX-License-Identifier: Apache-2.0
// What is told to multicast groups: what programs change here or over PF_KEY, what the engine reports, what time
// brings.
#include <algorithm>

#include "model/types_as_ports.h"
#include "sadb/xfrm_server/server.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
namespace xf = wire::xfrm;
using Type = xf::MessageType;

std::uint16_t port_or_number(std::uint16_t port, bool icmp, bool type) {
  if (!icmp) return port;
  return type ? static_cast<std::uint16_t>(port >> 8U) : static_cast<std::uint16_t>(port & 0xff);
}

// The packet that found no SA.
xf::Selector packet_of(const Acquire& event) {
  xf::Selector out;
  const auto& from = event.local;
  const auto& to = event.remote;
  out.family = xf::family_of(from.range.first);
  out.source = xf::Address::of(from.range.first);
  out.destination = xf::Address::of(to.range.first);
  out.source_length = static_cast<std::uint8_t>(from.range.first.bits());
  out.destination_length = static_cast<std::uint8_t>(to.range.first.bits());
  out.protocol = from.protocol;
  const bool icmp = model::has_types_as_ports(out.protocol);
  const bool ports = from.port_first == from.port_last && out.protocol != 0;
  if (ports) {
    out.source_port = port_or_number(from.port_first, icmp, true);
    out.destination_port = port_or_number(icmp ? from.port_first : to.port_first, icmp, false);
    out.source_port_mask = out.destination_port_mask = UINT16_MAX;
  }
  return out;
}

}  // namespace

void XfrmServer::on_sa(const PfkeySa& sa, SaChange change, PfkeyTime time) {
  Message out;
  if (change == SaChange::kSoftExpired || change == SaChange::kHardExpired) {
    ++counters_[change == SaChange::kHardExpired ? "expired-hard" : "expired-soft"];
    out.header.type = Type::kExpire;
    out.body = xf::SaExpire{describe_info(database_, sa, time), change == SaChange::kHardExpired};
    tell(Group::kExpire, std::move(out));
    return;
  }
  if (change == SaChange::kDeleted) {
    out.header.type = Type::kDelSa;
    out.body = describe_id(sa);
    out.attributes = describe_attributes(database_, sa, XfrmKeys::kBlank, time);
    out.attributes.sa = describe_info(database_, sa, time);
  } else {
    out.header.type = change == SaChange::kAdded ? Type::kNewSa : Type::kUpdSa;
    out.body = describe_info(database_, sa, time);
    out.attributes = describe_attributes(database_, sa, XfrmKeys::kBlank, time);
  }
  tell(Group::kSa, std::move(out));
}

void XfrmServer::on_sas_flushed() {
  Message out;
  out.header.type = Type::kFlushSa;
  out.body = xf::SaFlush{xf::kProtocolEsp};
  tell(Group::kSa, std::move(out));
}

void XfrmServer::on_policy(const PfkeyPolicy& policy, PolicyChange change) {
  Message out;
  out.attributes = describe_attributes(policy);
  const auto info = describe_info(policy);
  switch (change) {
    case PolicyChange::kAdded: out.header.type = Type::kNewPolicy; break;
    case PolicyChange::kUpdated: out.header.type = Type::kUpdPolicy; break;
    case PolicyChange::kDeleted:
      out.header.type = Type::kDelPolicy;
      out.body = xf::PolicyId{info.selector, info.index, info.direction};
      out.attributes.policy = info;
      tell(Group::kPolicy, std::move(out));
      return;
    case PolicyChange::kExpired:
      out.header.type = Type::kPolExpire;
      out.body = xf::PolicyExpire{info, true};
      tell(Group::kExpire, std::move(out));
      return;
  }
  out.body = info;
  tell(Group::kPolicy, std::move(out));
}

void XfrmServer::on_policies_flushed() {
  Message out;
  out.header.type = Type::kFlushPolicy;
  tell(Group::kPolicy, std::move(out));
}

bool XfrmServer::hears_acquires() const {
  constexpr auto kBit = 1U << (static_cast<unsigned>(Group::kAcquire) - 1);
  return std::ranges::any_of(clients_, [&](const auto& entry) { return (entry.second.groups & kBit) != 0; });
}

void XfrmServer::on_acquire(const PfkeyPolicy& policy, const Acquire& event, std::uint32_t sequence) {
  const auto& request = policy.requests.front();
  xf::Acquire acquire;
  const bool tunnel = request.mode != pf::Mode::kTransport && request.ends;
  acquire.id.destination = xf::Address::of(tunnel ? request.ends->destination.address : event.remote.range.first);
  acquire.id.protocol = static_cast<std::uint8_t>(request.protocol);
  acquire.source = xf::Address::of(tunnel ? request.ends->source.address : event.local.range.first);
  acquire.selector = packet_of(event);
  acquire.policy = describe_info(policy);
  acquire.auth_algorithms = acquire.encrypt_algorithms = acquire.compress_algorithms = ~0U;
  acquire.sequence = sequence;
  Message out;
  out.header.type = Type::kAcquire;
  out.body = acquire;
  out.attributes = describe_attributes(policy);
  tell(Group::kAcquire, std::move(out));
}

void XfrmServer::on_moved(const PfkeySa& sa, const PeerMoved& event) {
  ++counters_["mappings"];
  Message out;
  out.header.type = Type::kMapping;
  out.body = xf::Mapping{
      describe_id(sa),    sa.reqid,         xf::Address::of(sa.from()), xf::Address::of(event.remote.address),
      sa.nat_source_port, event.remote.port};
  tell(Group::kMapping, std::move(out));
}

void XfrmServer::on_migrated(const PfkeyPolicy& policy, const pf::PolicyRequest& from, const pf::PolicyRequest& to) {
  const auto info = describe_info(policy);
  Message out;
  out.header.type = Type::kMigrate;
  out.body = xf::PolicyId{info.selector, info.index, info.direction};
  out.attributes.migrations = {describe_move({from, to})};
  tell(Group::kMigrate, std::move(out));
}

}  // namespace cygnet::sadb
