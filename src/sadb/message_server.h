// SPDX-License-Identifier: Apache-2.0
#pragma once

// A service of messages without I/O, as the process that owns its socket sees it: clients by number, datagrams in,
// datagrams out when the client's socket has room.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "sadb/pfkey/engine_port.h"

namespace cygnet::sadb {

class MessageServer {
 public:
  using ClientId = std::uint32_t;
  virtual ~MessageServer() = default;
  // who: for the log. Nothing: too many.
  [[nodiscard]] virtual std::optional<ClientId> add_client(std::string who) = 0;
  virtual void remove_client(ClientId id) = 0;
  // A message, or several behind each other.
  virtual void on_datagram(ClientId id, ByteView datagram, PfkeyTime time) = 0;
  // What this client is to be sent next; it stays that until sent(). nullptr: nothing.
  [[nodiscard]] virtual std::shared_ptr<const Bytes> next(ClientId id, PfkeyTime time) = 0;
  virtual void sent(ClientId id) = 0;
  // False: it shall read first what it has asked for.
  [[nodiscard]] virtual bool takes_requests(ClientId id) const = 0;
  // Clients that have not read for so long that they are to be closed.
  [[nodiscard]] virtual std::vector<ClientId> take_cut_off() = 0;
};

}  // namespace cygnet::sadb
