// SPDX-License-Identifier: Apache-2.0
#pragma once

// The NETLINK_XFRM service: what programs say that believe to speak to the kernel (`cygnet wrap`), answered from the
// database that PF_KEY's service holds. No I/O: the engine process moves the octets.
//
// Answers are the kernel's: an acknowledgement or an errno for each request, NEWSA and NEWPOLICY for what was asked,
// dumps in parts with DONE at their end. Beyond it: nothing that waits for a slow reader is dropped in silence, a dump
// goes on beside changes, and who asked for extended acknowledgements (NETLINK_EXT_ACK) is told in a sentence why
// something was refused. Keys are shown to the program that brought them, to nobody else.
#include <deque>
#include <map>

#include "sadb/message_server.h"
#include "sadb/outboxes.h"
#include "sadb/pfkey/server.h"
#include "sadb/xfrm_server/translate.h"
#include "wire/xfrm/wrap_message.h"

namespace cygnet::sadb {

class XfrmServer final : public MessageServer, public DatabaseObserver {
 public:
  static constexpr std::size_t kMostDumps = 16;  // of one client, asked for at once

  // hub: holds the database, and is told of time and the engine's events. This one observes it from now on.
  XfrmServer(PfkeyServer& hub, Logger& log);

  [[nodiscard]] std::optional<ClientId> add_client(std::string who) override;
  void remove_client(ClientId id) override;
  void on_datagram(ClientId id, ByteView datagram, PfkeyTime time) override;
  [[nodiscard]] std::shared_ptr<const Bytes> next(ClientId id, PfkeyTime time) override;
  void sent(ClientId id) override { outboxes_.pop(id); }
  [[nodiscard]] bool takes_requests(ClientId id) const override { return outboxes_.takes_requests(id); }
  [[nodiscard]] std::vector<ClientId> take_cut_off() override { return outboxes_.take_cut_off(); }
  // To what the process itself does for a client (see WrapType). error: an errno, 0: done.
  void acknowledge(ClientId id, const wire::xfrm::WrapMessage& said, int error);

  void on_sa(const PfkeySa& sa, SaChange change, PfkeyTime time) override;
  void on_sas_flushed() override;
  void on_policy(const PfkeyPolicy& policy, PolicyChange change) override;
  void on_policies_flushed() override;
  [[nodiscard]] bool hears_acquires() const override;
  void on_acquire(const PfkeyPolicy& policy, const Acquire& event, std::uint32_t sequence) override;
  void on_moved(const PfkeySa& sa, const PeerMoved& event) override;
  void on_migrated(const PfkeyPolicy& policy, const wire::pfkey::PolicyRequest& from,
                   const wire::pfkey::PolicyRequest& to) override;

  [[nodiscard]] std::string statistics() const override;

 private:
  using Message = wire::xfrm::Message;
  using Header = wire::xfrm::Header;
  using Group = wire::xfrm::Group;
  struct Dump {
    bool of_policies = false;
    Header header;
    std::optional<wire::xfrm::AddressFilter> filter;
    std::uint8_t protocol = 0;   // 0: all
    std::uint64_t position = 0;  // serial of the entry read last
  };
  struct Client {
    ClientId id = 0;
    std::uint32_t port = 0;    // nl_pid
    std::uint32_t groups = 0;  // bit n-1: group n
    bool extended_ack = false;
    std::deque<Dump> dumps;
  };

  // server.cc
  void on_wrap_message(Client& client, const wire::xfrm::WrapMessage& said);
  void on_message(Client& client, ByteView bytes, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> dispatch(Client& client, const Message& message, PfkeyTime time);
  void answer_error(Client& client, const Header& request, int error, const std::string& text);
  void answer(Client& client, const Header& request, Message message);
  void tell(Group group, const Message& message);
  [[nodiscard]] PfkeyResult<> begin_dump(Client& client, const Message& message, bool of_policies);
  [[nodiscard]] Outboxes::Shared next_of_dump(Client& client, PfkeyTime time);
  [[nodiscard]] std::optional<Message> read_entry(const Client& client, Dump& dump, PfkeyTime time);

  // server_sas.cc
  [[nodiscard]] PfkeyResult<> on_new_sa(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_del_sa(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get_sa(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_alloc_spi(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_flush_sa(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get_ae(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get_sad_info(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<PfkeySa*> find_sa(const wire::xfrm::SaId& id);
  [[nodiscard]] XfrmKeys keys_for(const Client& client, const PfkeySa& sa) const;

  // server_policies.cc
  [[nodiscard]] PfkeyResult<> on_new_policy(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_del_policy(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get_policy(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_flush_policy(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_migrate(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get_spd_info(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_set_spd_info(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_get_default(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<> on_set_default(Client& client, const Message& message, PfkeyTime time);
  [[nodiscard]] PfkeyResult<PfkeyPolicy*> find_policy(const Message& message);

  PfkeyServer& hub_;
  PfkeyDatabase& database_;
  Logger& log_;
  Outboxes outboxes_;
  std::map<ClientId, Client> clients_;
  std::map<std::string, std::uint64_t, std::less<>> counters_;  // by a name of a fixed few
};

}  // namespace cygnet::sadb
