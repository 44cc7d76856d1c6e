// SPDX-License-Identifier: Apache-2.0
#pragma once

// A listening SEQPACKET socket and its clients: datagrams between them and a MessageServer. It has an epoll set of its
// own, which its owner watches as one descriptor.
#include <functional>
#include <map>

#include "base/log.h"
#include "io/fd.h"
#include "io/unix_socket.h"
#include "sadb/message_server.h"

namespace cygnet::daemon {

class MessagePort {
 public:
  using ClientId = sadb::MessageServer::ClientId;
  // A datagram that is for this process and not for the server. True: it was.
  using OnPrivate = std::function<bool(ClientId, io::Message&)>;
  using OnGone = std::function<void(ClientId)>;

  MessagePort(sadb::MessageServer& server, std::string subject, io::UniqueFd listener, Logger& log);
  // Neither is needed.
  void on_private(OnPrivate f) { on_private_ = std::move(f); }
  void on_gone(OnGone f) { on_gone_ = std::move(f); }

  [[nodiscard]] int fd() const { return epoll_.get(); }
  // True: something was there.
  bool on_ready(sadb::PfkeyTime time);
  // Sends what clients take. True: more may go at once.
  bool write_all(sadb::PfkeyTime time);

 private:
  struct Connection {
    io::UniqueFd fd;
    std::uint32_t watched = 0;  // epoll events
    bool blocked = false;       // its socket is full
  };
  void watch(int fd, std::uint64_t token);
  void accept_clients();
  void on_client(ClientId id, std::uint32_t events, sadb::PfkeyTime time);
  void read_from(ClientId id, sadb::PfkeyTime time);
  [[nodiscard]] bool write_to(ClientId id, Connection& connection, sadb::PfkeyTime time);
  void adjust(ClientId id, Connection& connection);
  void close(ClientId id);

  sadb::MessageServer& server_;
  std::string subject_;
  io::UniqueFd epoll_;
  io::UniqueFd listener_;
  Logger& log_;
  OnPrivate on_private_;
  OnGone on_gone_;
  std::map<ClientId, Connection> connections_;
};

}  // namespace cygnet::daemon
