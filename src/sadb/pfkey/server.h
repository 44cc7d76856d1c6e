// SPDX-License-Identifier: Apache-2.0
#pragma once

// The PF_KEY service: messages of many clients in, messages to them out. No I/O: the engine process moves the octets.
//
// A request is answered to its sender; what changes is told to all, what key managers shall do to those that have
// registered (RFC 2367 section 3.1). What a client has not taken yet waits for it here, up to a bound; beyond it that
// client alone is cut off. Dumps are made as fast as they are taken, one entry after the other, and what changes
// meanwhile is announced like anything else: a slow reader misses nothing.
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "sadb/backend.h"
#include "sadb/message_server.h"
#include "sadb/outboxes.h"
#include "sadb/pfkey/describe.h"
#include "sadb/pfkey/observer.h"

namespace cygnet::sadb {

class PfkeyServer final : public MessageServer, public DatabaseObserver {
 public:
  static constexpr std::size_t kMostClients = Outboxes::kMostClients;
  static constexpr std::size_t kMostWaiting = Outboxes::kMostWaiting;
  static constexpr std::size_t kMostWaitingInAll = Outboxes::kMostWaitingInAll;
  static constexpr std::size_t kUnreadOctets = Outboxes::kUnreadOctets;
  static constexpr std::size_t kMostDumps = 16;        // of one client, asked for at once
  static constexpr std::size_t kMostAcquires = 65536;  // nobody has answered yet
  static constexpr Duration kAcquireLife = std::chrono::seconds(30);

  PfkeyServer(PfkeyEngine& engine, Random& random, Logger& log);

  [[nodiscard]] std::optional<ClientId> add_client(std::string who) override;
  void remove_client(ClientId id) override;
  void on_datagram(ClientId id, ByteView datagram, PfkeyTime time) override;
  [[nodiscard]] std::shared_ptr<const Bytes> next(ClientId id, PfkeyTime time) override;
  void sent(ClientId id) override { outboxes_.pop(id); }
  [[nodiscard]] bool takes_requests(ClientId id) const override { return outboxes_.takes_requests(id); }
  [[nodiscard]] std::vector<ClientId> take_cut_off() override { return outboxes_.take_cut_off(); }

  // ---- for a service beside this one, over the same database. Time, and what the engine tells, come in here only.
  void set_observer(DatabaseObserver* observer) { observer_ = observer; }
  [[nodiscard]] PfkeyDatabase& database() { return database_; }
  // Somebody answers an ACQUIRE: with an SA, by its sequence number or by what it serves, or by saying that there is
  // none (false: there is no such).
  void answered(const PfkeySa& sa);
  [[nodiscard]] bool acquire_failed(std::uint32_t sequence);
  void on_sa(const PfkeySa& sa, SaChange change, PfkeyTime time) override;
  void on_sas_flushed() override;
  void on_policy(const PfkeyPolicy& policy, PolicyChange change) override;
  void on_policies_flushed() override;
  [[nodiscard]] bool hears_acquires() const override;
  void on_acquire(const PfkeyPolicy& policy, const Acquire& event, std::uint32_t sequence) override;
  void on_moved(const PfkeySa& sa, const PeerMoved& event) override;
  void on_migrated(const PfkeyPolicy& policy, const wire::pfkey::PolicyRequest& from,
                   const wire::pfkey::PolicyRequest& to) override;

  // An event of the engine. False: it is not about what came over PF_KEY.
  bool on_event(const Event& event, PfkeyTime time);
  void on_addresses_changed(PfkeyTime time) { database_.addresses_changed(time); }
  [[nodiscard]] Instant next_deadline() const;
  void on_timer(PfkeyTime time);
  // Lines "name value".
  [[nodiscard]] std::string statistics() const override;
  [[nodiscard]] std::size_t clients() const { return clients_.size(); }

 private:
  using Message = wire::pfkey::Message;
  using Header = wire::pfkey::MessageHeader;
  struct Dump {
    bool of_policies = false;
    Header header;
    std::optional<wire::pfkey::FilterExtension> filter;
    std::uint64_t position = 0;  // serial of the entry read last
    std::uint32_t count = 0;
    std::optional<std::uint32_t> most;
    std::optional<Message> held;  // until it is known whether another one follows
  };
  struct Client {
    ClientId id = 0;
    std::uint32_t options = 0;
    bool registered_esp = false;
    bool registered_ah = false;
    [[nodiscard]] bool hears_of(wire::pfkey::SaType type) const {
      return type == wire::pfkey::SaType::kAh ? registered_ah : registered_esp;
    }
    bool promiscuous = false;
    std::deque<Dump> dumps;
  };
  enum class Audience : std::uint8_t { kSender, kRegistered, kAll };
  struct Pending {
    model::PolicyId policy;
    model::PolicyId group;  // whose SA it waits for
    Instant until{};
  };

  // server.cc
  void on_message(Client& client, ByteView bytes, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> dispatch(Client& client, const Message& message, PfkeyTime time);
  void fail(Client& client, const Header& request, const PfkeyError& error);
  void tell(Message message, const Header& request, Audience audience, Client* sender);
  void put(const Client& client, Outboxes::Shared bytes) { outboxes_.put(client.id, std::move(bytes)); }
  void show_to_promiscuous(const Message& message, const Client* but);
  [[nodiscard]] PfkeyKeys keys_for(const Client& client) const;
  [[nodiscard]] std::shared_ptr<const Bytes> next_of_dump(Client& client, PfkeyTime time);
  [[nodiscard]] std::optional<Message> read_entry(const Client& client, Dump& dump, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> begin_dump(Client& client, const Message& message, bool of_policies, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_options(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_statistics(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_promisc(Client& client, const Message& message, PfkeyTime time);

  // server_sas.cc
  [[nodiscard]] PfkeyResult<> on_get_spi(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_add(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_update(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_delete(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> delete_all(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_register(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_acquire(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_flush(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_dump(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<PfkeySa*> find_sa(const Message& message);
  void installed(const PfkeySa& sa, const Header& request, Client& client, PfkeyTime time);
  void expire(PfkeySa& sa, bool hard, PfkeyTime time);
  void raise_acquire(const Acquire& event, PfkeyTime time);
  void forget_acquire(std::uint32_t sequence);

  // server_policies.cc
  [[nodiscard]] PfkeyResult<> on_spd_add(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_spd_delete(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_spd_get(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_spd_flush(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_spd_dump(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_migrate(Client& client, const Message& message, PfkeyTime time);
  void expire_policies(PfkeyTime time);

  PfkeyEngine& engine_;
  Logger& log_;
  PfkeyDatabase database_;
  PfkeySupported supported_;
  Outboxes outboxes_;
  std::map<ClientId, Client> clients_;
  DatabaseObserver* observer_ = nullptr;
  std::map<std::uint32_t, Pending> acquires_;  // by sequence
  std::set<std::pair<std::uint32_t, std::uint32_t>> acquires_by_group_;
  std::uint32_t next_acquire_ = 1;
  Instant next_use_check_ = Instant::min();
  std::map<std::string, std::uint64_t, std::less<>> counters_;  // by a name of a fixed few
};

}  // namespace cygnet::sadb
