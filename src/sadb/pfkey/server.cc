// SPDX-License-Identifier: Apache-2.0
// Clients, queues and dumps; what is asked about SAs is in server_sas.cc, about policies in server_policies.cc.
#include "sadb/pfkey/server.h"

#include <algorithm>

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;
using Type = pf::MessageType;

std::string errno_name(int error) {
  switch (error) {
    case EINVAL: return "EINVAL";
    case EEXIST: return "EEXIST";
    case ESRCH: return "ESRCH";
    case ENOENT: return "ENOENT";
    case ENOBUFS: return "ENOBUFS";
    case EBUSY: return "EBUSY";
    case EMSGSIZE: return "EMSGSIZE";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case EPROTONOSUPPORT: return "EPROTONOSUPPORT";
    default: return "other";
  }
}

// Of a request whose keys must not be shown to others.
void blank_keys(pf::Message& message) {
  for (auto* key : {&message.auth_key, &message.encrypt_key}) {
    if (*key) std::fill((*key)->key.begin(), (*key)->key.end(), std::uint8_t{0});
  }
}

}  // namespace

PfkeyServer::PfkeyServer(PfkeyEngine& engine, Random& random, Logger& log)
    : engine_(engine),
      log_(log),
      database_(engine, random),
      supported_(supported_by(engine)),
      outboxes_("pfkey", log) {}

std::optional<PfkeyServer::ClientId> PfkeyServer::add_client(std::string who) {
  const auto id = outboxes_.open(std::move(who));
  if (id) clients_[*id].id = *id;
  return id;
}

void PfkeyServer::remove_client(ClientId id) {
  outboxes_.close(id);
  clients_.erase(id);
}

// ---- in

void PfkeyServer::on_datagram(ClientId id, ByteView datagram, PfkeyTime time) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || !outboxes_.is_open(id)) return;
  const auto messages = pf::split_messages(datagram);
  if (!messages) {
    ++counters_["refused-" + std::string(name_of(messages.error().why))];
    const auto header = Header::parse(datagram);
    fail(it->second, header ? *header : Header{}, {EMSGSIZE, messages.error().message});
    return;
  }
  for (const auto& message : *messages) on_message(it->second, message, time);
}

void PfkeyServer::on_message(Client& client, ByteView bytes, PfkeyTime time) {
  ++counters_["messages-taken"];
  auto message = Message::parse(bytes);
  if (!message) {
    ++counters_["refused-" + std::string(name_of(message.error().why))];
    fail(client, *Header::parse(bytes), {EINVAL, message.error().message});
    return;
  }
  counters_["extensions-unknown"] += message->unknown.size();
  if (const auto done = dispatch(client, *message, time); !done) {
    fail(client, message->header, {done.error().error, name_of(message->header.type) + ": " + done.error().message});
  }
  database_.tend(time);
  blank_keys(*message);
  show_to_promiscuous(*message, &client);
}

PfkeyResult<> PfkeyServer::dispatch(Client& client, const Message& message, PfkeyTime time) {
  using Handler = PfkeyResult<> (PfkeyServer::*)(Client&, const Message&, PfkeyTime);
  static const std::map<Type, Handler> kHandlers = {
      {Type::kGetSpi, &PfkeyServer::on_get_spi},
      {Type::kUpdate, &PfkeyServer::on_update},
      {Type::kAdd, &PfkeyServer::on_add},
      {Type::kDelete, &PfkeyServer::on_delete},
      {Type::kGet, &PfkeyServer::on_get},
      {Type::kAcquire, &PfkeyServer::on_acquire},
      {Type::kRegister, &PfkeyServer::on_register},
      {Type::kFlush, &PfkeyServer::on_flush},
      {Type::kDump, &PfkeyServer::on_dump},
      {Type::kPromisc, &PfkeyServer::on_promisc},
      {Type::kSpdAdd, &PfkeyServer::on_spd_add},
      {Type::kSpdUpdate, &PfkeyServer::on_spd_add},
      {Type::kSpdSetIdx, &PfkeyServer::on_spd_add},
      {Type::kSpdDelete, &PfkeyServer::on_spd_delete},
      {Type::kSpdDelete2, &PfkeyServer::on_spd_delete},
      {Type::kSpdGet, &PfkeyServer::on_spd_get},
      {Type::kSpdFlush, &PfkeyServer::on_spd_flush},
      {Type::kSpdDump, &PfkeyServer::on_spd_dump},
      {Type::kMigrate, &PfkeyServer::on_migrate},
      {Type::kCygnetOptions, &PfkeyServer::on_options},
      {Type::kCygnetStatistics, &PfkeyServer::on_statistics},
  };
  const auto handler = kHandlers.find(message.header.type);
  if (handler == kHandlers.end()) return refuse(EOPNOTSUPP, "this message is not for a client to send");
  return (this->*handler->second)(client, message, time);
}

PfkeyResult<> PfkeyServer::on_options(Client& client, const Message& message, PfkeyTime) {
  if (!message.options) return refuse(EINVAL, "the options extension is missing");
  if ((message.options->flags & ~pf::OptionsExtension::kKnown) != 0) {
    return refuse(EOPNOTSUPP, "an option is asked for that this version does not have");
  }
  const bool shows = (message.options->flags & ~client.options & pf::OptionsExtension::kShowKeys) != 0;
  if (shows) log_.notice("pfkey", outboxes_.who(client.id) + " asked to see keys and is shown them from now on");
  client.options = message.options->flags;
  Message answer;
  answer.options = message.options;
  tell(std::move(answer), message.header, Audience::kSender, &client);
  return {};
}

PfkeyResult<> PfkeyServer::on_statistics(Client& client, const Message& message, PfkeyTime) {
  Message answer;
  answer.statistics = pf::StatisticsExtension{statistics() + (observer_ == nullptr ? "" : observer_->statistics())};
  tell(std::move(answer), message.header, Audience::kSender, &client);
  return {};
}

// RFC 2367 section 3.1.11: sadb_msg_satype tells whether to begin (1) or to end (0).
PfkeyResult<> PfkeyServer::on_promisc(Client& client, const Message& message, PfkeyTime) {
  const auto value = static_cast<unsigned>(message.header.sa_type);
  if (!message.enclosed.empty()) return refuse(EINVAL, "messages are not passed on to other clients");
  if (value > 1) return refuse(EINVAL, "sadb_msg_satype must be 1 to listen to everything, or 0 to end that");
  client.promiscuous = value == 1;
  tell({}, message.header, Audience::kSender, &client);
  return {};
}

// ---- out

void PfkeyServer::fail(Client& client, const Header& request, const PfkeyError& error) {
  ++counters_["failed-" + errno_name(error.error)];
  Message answer;
  answer.header = request;
  answer.header.error = static_cast<std::uint8_t>(error.error);
  if ((client.options & pf::OptionsExtension::kErrorText) != 0) {
    answer.error_text = pf::ErrorTextExtension{error.message};
  }
  put(client, Outboxes::share(answer.serialize()));
}

void PfkeyServer::tell(Message message, const Header& request, Audience audience, Client* sender) {
  message.header.type = request.type;
  message.header.sequence = request.sequence;
  message.header.pid = request.pid;
  if (message.header.sa_type == pf::SaType::kUnspecified) message.header.sa_type = request.sa_type;
  const auto bytes = Outboxes::share(message.serialize());
  for (auto& [id, client] : clients_) {
    const bool hears = audience == Audience::kAll ||
                       (audience == Audience::kRegistered && client.hears_of(message.header.sa_type)) ||
                       &client == sender;
    if (hears) put(client, bytes);
  }
  blank_keys(message);
  show_to_promiscuous(message, sender);
}

void PfkeyServer::show_to_promiscuous(const Message& message, const Client* but) {
  const bool anyone = std::ranges::any_of(clients_, [&](const auto& entry) { return entry.second.promiscuous; });
  if (!anyone) return;
  Message wrapped;
  wrapped.header = {.type = Type::kPromisc, .sequence = message.header.sequence, .pid = message.header.pid};
  wrapped.enclosed = message.serialize();
  const auto bytes = Outboxes::share(wrapped.serialize());
  for (auto& [id, client] : clients_) {
    if (client.promiscuous && &client != but) put(client, bytes);
  }
}

std::shared_ptr<const Bytes> PfkeyServer::next(ClientId id, PfkeyTime time) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || !outboxes_.is_open(id)) return nullptr;
  if (outboxes_.front(id) == nullptr) {
    if (auto entry = next_of_dump(it->second, time)) put(it->second, std::move(entry));
  }
  return outboxes_.front(id);
}

PfkeyKeys PfkeyServer::keys_for(const Client& client) const {
  return (client.options & pf::OptionsExtension::kShowKeys) != 0 ? PfkeyKeys::kShown : PfkeyKeys::kCensored;
}

// ---- dumps

PfkeyResult<> PfkeyServer::begin_dump(Client& client, const Message& message, bool of_policies, PfkeyTime time) {
  if (client.dumps.size() >= kMostDumps) return refuse(EBUSY, "16 dumps are under way: read them first");
  const bool empty = of_policies ? database_.policies().size() == 0 : database_.sas().size() == 0;
  if (empty) return refuse(ENOENT, of_policies ? "there are no policies" : "there are no SAs");
  Dump dump{.of_policies = of_policies, .header = message.header, .filter = message.filter};
  if (message.cursor) {
    dump.position = message.cursor->position;
    dump.most = message.cursor->most == 0 ? UINT32_MAX : message.cursor->most;
  }
  dump.held = read_entry(client, dump, time);
  if (!dump.held) return refuse(ENOENT, "there is nothing more that the filter lets through");
  client.dumps.push_back(std::move(dump));
  return {};
}

std::optional<pf::Message> PfkeyServer::read_entry(const Client& client, Dump& dump, PfkeyTime time) {
  if (dump.of_policies) {
    const auto* policy = database_.policies().after(dump.position);
    if (policy == nullptr) return std::nullopt;
    dump.position = policy->serial;
    return describe_policy(*policy);
  }
  while (auto* sa = database_.sas().after(dump.position)) {
    dump.position = sa->serial;
    const auto type = dump.header.sa_type;
    if (type != pf::SaType::kUnspecified && sa->sa_type != type) continue;
    if (dump.filter && !dump.filter->passes(sa->from(), sa->to())) continue;
    return describe_sa(database_, *sa, keys_for(client), time);
  }
  return std::nullopt;
}

std::shared_ptr<const Bytes> PfkeyServer::next_of_dump(Client& client, PfkeyTime time) {
  if (client.dumps.empty()) return nullptr;
  auto& dump = client.dumps.front();
  Message message;
  std::uint64_t position = 0;
  bool gone = false;
  do {  // what was removed since it was read has been announced: it must not come back
    message = std::move(*dump.held);
    position = dump.position;
    gone =
        dump.of_policies ? database_.policies().find(position) == nullptr : database_.sas().find(position) == nullptr;
    dump.held = read_entry(client, dump, time);
  } while (gone && dump.held);
  ++dump.count;
  const bool full = dump.most && dump.count >= *dump.most;
  const bool last = !dump.held || full;
  message.header.type = dump.header.type;
  message.header.pid = dump.header.pid;
  // As in Linux: entries are numbered, and the last one has 0.
  message.header.sequence = last ? 0 : dump.count;
  if (last && dump.most) {
    message.cursor = pf::CursorExtension{dump.held ? 1U : 0U, position};
  }
  if (last) client.dumps.pop_front();
  // Something must end the dump: an SA that is dead, or a policy whose removal is announced once more behind it.
  if (gone && message.sa) message.sa->state = pf::SaState::kDead;
  const auto bytes = Outboxes::share(message.serialize());
  if (!gone || message.sa) return bytes;
  put(client, bytes);
  message.header.type = Type::kSpdDelete;
  return Outboxes::share(message.serialize());
}

// ---- time

Instant PfkeyServer::next_deadline() const {
  Instant next = std::min(database_.sas().next_deadline(), database_.policies().next_deadline());
  if (!acquires_.empty()) next = std::min(next, acquires_.begin()->second.until);
  if (database_.watches_use_times()) next = std::min(next, next_use_check_);
  return next;
}

void PfkeyServer::on_timer(PfkeyTime time) {
  while (auto* larval = database_.sas().overdue(time.now)) {
    ++counters_["larval-expired"];
    expire(*larval, true, time);
  }
  expire_policies(time);
  database_.tend(time);
  while (!acquires_.empty() && acquires_.begin()->second.until <= time.now) {
    ++counters_["acquires-unanswered"];
    (void)acquire_failed(acquires_.begin()->first);
  }
  if (!database_.watches_use_times() || next_use_check_ > time.now) return;
  next_use_check_ = time.now + std::chrono::seconds(1);
  for (const auto& over : database_.use_times_over(time)) {
    if (auto* sa = database_.sas().find(over.serial)) expire(*sa, over.hard, time);
  }
}

std::string PfkeyServer::statistics() const {
  std::string out = "clients " + std::to_string(clients_.size()) + "\nsas " + std::to_string(database_.sas().size()) +
                    "\nsas-larval " + std::to_string(database_.sas().larval()) + "\npolicies " +
                    std::to_string(database_.policies().size()) + "\nmessages-waiting " +
                    std::to_string(outboxes_.waiting()) + "\nclients-accepted " + std::to_string(outboxes_.accepted()) +
                    "\n";
  if (outboxes_.turned_away() != 0) out += "clients-turned-away " + std::to_string(outboxes_.turned_away()) + "\n";
  if (outboxes_.cut_off_ever() != 0) out += "clients-cut-off " + std::to_string(outboxes_.cut_off_ever()) + "\n";
  for (const auto& [name, value] : counters_) out += name + " " + std::to_string(value) + "\n";
  return out;
}

}  // namespace cygnet::sadb
