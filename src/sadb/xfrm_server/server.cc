// SPDX-License-Identifier: Apache-2.0
// Clients, answers and dumps; what is asked about SAs is in server_sas.cc, about policies in server_policies.cc, what
// is told unasked in server_notices.cc.
#include "sadb/xfrm_server/server.h"

#include <cstring>

namespace cygnet::sadb {
namespace {

namespace xf = wire::xfrm;
using Type = xf::MessageType;

std::optional<xf::WrapMessage> wrap_message_of(ByteView bytes) {
  xf::WrapMessage out;
  if (bytes.size() != sizeof out) return std::nullopt;
  std::memcpy(&out, bytes.data(), sizeof out);
  const bool known = out.type >= xf::kFirstWrapType && out.type <= xf::kLastWrapType;
  return known && out.octets == sizeof out ? std::optional(out) : std::nullopt;
}

std::uint32_t bit_of(std::uint32_t group) {
  return group == 0 || group > static_cast<std::uint32_t>(xf::Group::kLast) ? 0 : 1U << (group - 1);
}

// The header of what could not be parsed, as far as it is there.
xf::Header header_of(ByteView bytes) {
  if (bytes.size() < xf::kHeaderOctets) return {};
  xf::Header out;
  std::uint16_t type = 0;
  std::memcpy(&type, bytes.data() + 4, sizeof type);
  std::memcpy(&out.flags, bytes.data() + 6, sizeof out.flags);
  std::memcpy(&out.sequence, bytes.data() + 8, sizeof out.sequence);
  std::memcpy(&out.port, bytes.data() + 12, sizeof out.port);
  out.type = static_cast<Type>(type);
  return out;
}

bool is_dump(const xf::Header& header) { return (header.flags & xf::kDump) == xf::kDump; }

}  // namespace

XfrmServer::XfrmServer(PfkeyServer& hub, Logger& log)
    : hub_(hub), database_(hub.database()), log_(log), outboxes_("xfrm", log) {
  hub_.set_observer(this);
}

std::optional<XfrmServer::ClientId> XfrmServer::add_client(std::string who) {
  const auto id = outboxes_.open(std::move(who));
  if (id) clients_[*id].id = *id;
  return id;
}

void XfrmServer::remove_client(ClientId id) {
  outboxes_.close(id);
  clients_.erase(id);
}

// ---- in

void XfrmServer::on_datagram(ClientId id, ByteView datagram, PfkeyTime time) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || !outboxes_.is_open(id)) return;
  if (const auto said = wrap_message_of(datagram)) {
    on_wrap_message(it->second, *said);
    return;
  }
  const auto messages = xf::split_messages(datagram);
  if (!messages) {
    ++counters_["refused-" + std::string(xf::name_of(messages.error().why))];
    answer_error(it->second, header_of(datagram), EINVAL, messages.error().message);
    return;
  }
  for (const auto& message : *messages) on_message(it->second, message, time);
}

void XfrmServer::on_wrap_message(Client& client, const xf::WrapMessage& said) {
  if (said.pid != 0) client.port = said.pid;
  switch (static_cast<xf::WrapType>(said.type)) {
    case xf::WrapType::kGroups: client.groups = said.value; return;
    case xf::WrapType::kJoin: client.groups |= bit_of(said.value); return;
    case xf::WrapType::kLeave: client.groups &= ~bit_of(said.value); return;
    case xf::WrapType::kExtendedAck: client.extended_ack = said.value != 0; return;
    case xf::WrapType::kLendSocket:
    case xf::WrapType::kReleasePort:
      acknowledge(client.id, said, EOPNOTSUPP);
      return;  // the process takes these itself
  }
}

void XfrmServer::acknowledge(ClientId id, const xf::WrapMessage& said, int error) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) return;
  answer_error(it->second, {static_cast<Type>(said.type), said.flags, said.sequence, said.pid}, error, {});
}

void XfrmServer::on_message(Client& client, ByteView bytes, PfkeyTime time) {
  ++counters_["messages-taken"];
  const auto header = header_of(bytes);
  // As the kernel does: control messages and what is no request are passed over.
  if (static_cast<std::uint16_t>(header.type) < static_cast<std::uint16_t>(Type::kNewSa) ||
      (header.flags & xf::kRequest) == 0) {
    ++counters_["no-requests"];
    if ((header.flags & xf::kAck) != 0) answer_error(client, header, 0, {});
    return;
  }
  const auto message = Message::parse(bytes);
  if (!message) {
    ++counters_["refused-" + std::string(xf::name_of(message.error().why))];
    answer_error(client, header, EINVAL, message.error().message);
    return;
  }
  counters_["attributes-unknown"] += message->attributes.unknown.size();
  const auto done = dispatch(client, *message, time);
  database_.tend(time);
  if (!done) {
    ++counters_["requests-failed"];
    log_.debug("xfrm", outboxes_.who(client.id) + ": " + xf::name_of(header.type) + ": " + done.error().message);
    answer_error(client, header, done.error().error, xf::name_of(header.type) + ": " + done.error().message);
  } else if ((header.flags & xf::kAck) != 0 && !is_dump(header)) {
    answer_error(client, header, 0, {});
  }
}

PfkeyResult<> XfrmServer::dispatch(Client& client, const Message& message, PfkeyTime time) {
  using Handler = PfkeyResult<> (XfrmServer::*)(Client&, const Message&, PfkeyTime);
  static const std::map<Type, Handler> kHandlers = {
      {Type::kNewSa, &XfrmServer::on_new_sa},
      {Type::kUpdSa, &XfrmServer::on_new_sa},
      {Type::kDelSa, &XfrmServer::on_del_sa},
      {Type::kGetSa, &XfrmServer::on_get_sa},
      {Type::kAllocSpi, &XfrmServer::on_alloc_spi},
      {Type::kFlushSa, &XfrmServer::on_flush_sa},
      {Type::kGetAe, &XfrmServer::on_get_ae},
      {Type::kGetSadInfo, &XfrmServer::on_get_sad_info},
      {Type::kNewPolicy, &XfrmServer::on_new_policy},
      {Type::kUpdPolicy, &XfrmServer::on_new_policy},
      {Type::kDelPolicy, &XfrmServer::on_del_policy},
      {Type::kGetPolicy, &XfrmServer::on_get_policy},
      {Type::kFlushPolicy, &XfrmServer::on_flush_policy},
      {Type::kMigrate, &XfrmServer::on_migrate},
      {Type::kGetSpdInfo, &XfrmServer::on_get_spd_info},
      {Type::kNewSpdInfo, &XfrmServer::on_set_spd_info},
      {Type::kGetDefault, &XfrmServer::on_get_default},
      {Type::kSetDefault, &XfrmServer::on_set_default},
  };
  const auto handler = kHandlers.find(message.header.type);
  if (handler == kHandlers.end()) return refuse(EOPNOTSUPP, "this message is not for a program to send here");
  return (this->*handler->second)(client, message, time);
}

// ---- out

void XfrmServer::answer_error(Client& client, const Header& request, int error, const std::string& text) {
  Message out;
  out.header = {Type::kError, 0, request.sequence, request.port != 0 ? request.port : client.port};
  out.body = xf::ErrorReply{-error, request, client.extended_ack ? text : std::string{}};
  outboxes_.put(client.id, Outboxes::share(out.serialize()));
}

void XfrmServer::answer(Client& client, const Header& request, Message message) {
  message.header.sequence = request.sequence;
  message.header.port = request.port != 0 ? request.port : client.port;
  outboxes_.put(client.id, Outboxes::share(message.serialize()));
}

// One copy for all who listen. They did not ask: no sequence, and the kernel's port.
void XfrmServer::tell(Group group, const Message& message) {
  const auto bit = bit_of(static_cast<std::uint32_t>(group));
  Outboxes::Shared bytes;
  for (const auto& [id, client] : clients_) {
    if ((client.groups & bit) == 0) continue;
    if (!bytes) bytes = Outboxes::share(message.serialize());
    outboxes_.put(id, bytes);
  }
}

std::shared_ptr<const Bytes> XfrmServer::next(ClientId id, PfkeyTime time) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || !outboxes_.is_open(id)) return nullptr;
  if (outboxes_.front(id) == nullptr) {
    if (auto entry = next_of_dump(it->second, time)) outboxes_.put(id, std::move(entry));
  }
  return outboxes_.front(id);
}

// ---- dumps

PfkeyResult<> XfrmServer::begin_dump(Client& client, const Message& message, bool of_policies) {
  if (client.dumps.size() >= kMostDumps) return refuse(EBUSY, "16 dumps are under way: read them first");
  client.dumps.push_back({.of_policies = of_policies,
                          .header = message.header,
                          .filter = message.attributes.address_filter,
                          .protocol = message.attributes.protocol.value_or(0)});
  return {};
}

Outboxes::Shared XfrmServer::next_of_dump(Client& client, PfkeyTime time) {
  if (client.dumps.empty()) return nullptr;
  auto& dump = client.dumps.front();
  auto entry = read_entry(client, dump, time);
  const bool last = !entry;
  if (last) {
    entry.emplace();
    entry->header.type = Type::kDone;
    entry->body = xf::DoneReply{};
  }
  entry->header.flags = xf::kMulti;
  entry->header.sequence = dump.header.sequence;
  entry->header.port = dump.header.port != 0 ? dump.header.port : client.port;
  if (last) client.dumps.pop_front();
  return Outboxes::share(entry->serialize());
}

std::optional<wire::xfrm::Message> XfrmServer::read_entry(const Client& client, Dump& dump, PfkeyTime time) {
  Message out;
  if (dump.of_policies) {
    const auto* policy = database_.policies().after(dump.position);
    if (policy == nullptr) return std::nullopt;
    dump.position = policy->serial;
    out.header.type = Type::kNewPolicy;
    out.body = describe_info(*policy);
    out.attributes = describe_attributes(*policy);
    return out;
  }
  const bool all = dump.protocol == 0 || dump.protocol == xf::kProtocolAny;
  while (const auto* sa = database_.sas().after(dump.position)) {
    dump.position = sa->serial;
    if (!all && describe_id(*sa).protocol != dump.protocol) continue;
    if (dump.filter) {
      const auto& f = *dump.filter;
      if (f.family != xf::kFamilyAny && f.family != xf::family_of(sa->to())) continue;
      const IpPrefix from{f.source.as(xf::family_of(sa->from())), f.source_length};
      const IpPrefix to{f.destination.as(xf::family_of(sa->to())), f.destination_length};
      if (!from.contains(sa->from()) || !to.contains(sa->to())) continue;
    }
    out.header.type = Type::kNewSa;
    out.body = describe_info(database_, *sa, time);
    out.attributes = describe_attributes(database_, *sa, keys_for(client, *sa), time);
    return out;
  }
  return std::nullopt;
}

std::string XfrmServer::statistics() const {
  std::string out = "xfrm-clients " + std::to_string(outboxes_.size()) + "\nxfrm-messages-waiting " +
                    std::to_string(outboxes_.waiting()) + "\nxfrm-clients-accepted " +
                    std::to_string(outboxes_.accepted()) + "\nxfrm-clients-turned-away " +
                    std::to_string(outboxes_.turned_away()) + "\nxfrm-clients-cut-off " +
                    std::to_string(outboxes_.cut_off_ever()) + "\n";
  for (const auto& [name, value] : counters_) out += "xfrm-" + name + " " + std::to_string(value) + "\n";
  return out;
}

}  // namespace cygnet::sadb
