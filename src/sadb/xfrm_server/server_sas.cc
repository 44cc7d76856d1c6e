// SPDX-License-Identifier: Apache-2.0
// What programs ask about SAs.
#include "sadb/xfrm_server/server.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
namespace xf = wire::xfrm;
using Type = xf::MessageType;

// Those that there can be SAs of; IPComp's may have come over PF_KEY.
std::optional<pf::SaType> sa_type_of(std::uint8_t protocol) {
  if (protocol == xf::kProtocolEsp) return pf::SaType::kEsp;
  if (protocol == xf::kProtocolAh) return pf::SaType::kAh;
  if (protocol == xf::kProtocolIpComp) return pf::SaType::kIpComp;
  return std::nullopt;
}

}  // namespace

PfkeyResult<PfkeySa*> XfrmServer::find_sa(const xf::SaId& id) {
  const auto destination = id.destination.as(id.family);
  const auto type = sa_type_of(id.protocol);
  auto* sa = type ? database_.sas().find(id.spi, destination, *type) : nullptr;
  if (sa == nullptr) {
    return refuse(ESRCH, "there is no SA of protocol " + std::to_string(id.protocol) + " with SPI " +
                             std::to_string(id.spi.value) + " to " + destination.to_string());
  }
  return sa;
}

XfrmKeys XfrmServer::keys_for(const Client& client, const PfkeySa& sa) const {
  return client.port != 0 && client.port == sa.pid ? XfrmKeys::kShown : XfrmKeys::kBlank;
}

PfkeyResult<> XfrmServer::on_new_sa(Client& client, const Message& message, PfkeyTime time) {
  const auto& info = std::get<xf::SaInfo>(message.body);
  auto draft = xfrm_sa_draft(info, message.attributes, true);
  if (!draft) return std::unexpected(draft.error());
  draft->pid = client.port;
  const bool added = message.header.type == Type::kNewSa;
  const auto sa = added ? database_.add(std::move(*draft), time) : database_.update(std::move(*draft), time);
  if (!sa) return std::unexpected(sa.error());
  hub_.answered(**sa);
  const auto change = added ? SaChange::kAdded : SaChange::kUpdated;
  on_sa(**sa, change, time);
  hub_.on_sa(**sa, change, time);
  return {};
}

PfkeyResult<> XfrmServer::on_del_sa(Client& /*client*/, const Message& message, PfkeyTime time) {
  const auto sa = find_sa(std::get<xf::SaId>(message.body));
  if (!sa) return std::unexpected(sa.error());
  on_sa(**sa, SaChange::kDeleted, time);
  hub_.on_sa(**sa, SaChange::kDeleted, time);
  database_.remove(**sa);
  return {};
}

PfkeyResult<> XfrmServer::on_get_sa(Client& client, const Message& message, PfkeyTime time) {
  const auto* id = std::get_if<xf::SaId>(&message.body);
  if (id == nullptr) return begin_dump(client, message, false);
  const auto sa = find_sa(*id);
  if (!sa) return std::unexpected(sa.error());
  Message out;
  out.header.type = Type::kNewSa;
  out.body = describe_info(database_, **sa, time);
  out.attributes = describe_attributes(database_, **sa, keys_for(client, **sa), time);
  answer(client, message.header, std::move(out));
  return {};
}

// A larval SA, answered as NEWSA.
PfkeyResult<> XfrmServer::on_alloc_spi(Client& client, const Message& message, PfkeyTime time) {
  const auto& range = std::get<xf::SpiRange>(message.body);
  auto draft = xfrm_sa_draft(range.info, message.attributes, false);
  if (!draft) return std::unexpected(draft.error());
  draft->state = pf::SaState::kLarval;
  draft->pid = client.port;
  const auto sa = database_.get_spi(std::move(*draft), range.min, range.max, time);
  if (!sa) return std::unexpected(sa.error());
  Message out;
  out.header.type = Type::kNewSa;
  out.body = describe_info(database_, **sa, time);
  answer(client, message.header, std::move(out));
  return {};
}

PfkeyResult<> XfrmServer::on_flush_sa(Client& /*client*/, const Message& message, PfkeyTime /*time*/) {
  const auto protocol = std::get<xf::SaFlush>(message.body).protocol;
  const auto type = sa_type_of(protocol);
  const bool all = protocol == 0 || protocol == xf::kProtocolAny;
  if (!type && !all) return {};  // there are none of others
  database_.flush_sas(type.value_or(pf::SaType::kUnspecified));
  on_sas_flushed();
  hub_.on_sas_flushed();
  return {};
}

// Sequence numbers and counters, answered as NEWAE.
PfkeyResult<> XfrmServer::on_get_ae(Client& client, const Message& message, PfkeyTime time) {
  const auto& asked = std::get<xf::AeventId>(message.body);
  const auto sa = find_sa(asked.id);
  if (!sa) return std::unexpected(sa.error());
  const auto shown = describe_attributes(database_, **sa, XfrmKeys::kBlank, time);
  Message out;
  out.header.type = Type::kNewAe;
  out.body = xf::AeventId{describe_id(**sa), xf::Address::of((*sa)->from()), asked.flags, (*sa)->reqid};
  out.attributes.replay_esn = shown.replay_esn;
  if (!shown.replay_esn) out.attributes.replay = shown.replay.value_or(xf::ReplayState{});
  out.attributes.lifetime = describe_info(database_, **sa, time).current;
  answer(client, message.header, std::move(out));
  return {};
}

PfkeyResult<> XfrmServer::on_get_sad_info(Client& client, const Message& message, PfkeyTime /*time*/) {
  Message out;
  out.header.type = Type::kNewSadInfo;
  xf::SadInfo info;
  info.flags = std::get<xf::SadInfo>(message.body).flags;
  info.count = static_cast<std::uint32_t>(database_.sas().size());
  out.body = info;
  answer(client, message.header, std::move(out));
  return {};
}

}  // namespace cygnet::sadb
