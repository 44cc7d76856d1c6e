// SPDX-License-Identifier: Apache-2.0
#pragma once

// The daemon's end of the control socket: many clients, one request each, answers in frames. A client that reads too
// slowly or sends nonsense is dropped; no client can make the daemon wait or grow.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "control/frame.h"
#include "control/messages.h"
#include "io/event_loop.h"
#include "io/fd.h"

namespace cygnet::daemon {

class ControlServer {
 public:
  using ClientId = std::uint64_t;
  using OnRequest = std::function<void(ClientId, control::Request)>;
  using OnGone = std::function<void(ClientId)>;

  ControlServer(io::EventLoop& loop, io::UniqueFd listener, OnRequest on_request, OnGone on_gone);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // After a Done the client is closed as soon as it has read it.
  void send(ClientId id, const control::Response& response);

  static constexpr std::size_t kMaxClients = 128;

 private:
  struct Client {
    explicit Client(io::UniqueFd socket) : fd(std::move(socket)) {}
    io::UniqueFd fd;
    control::FrameReader reader{control::kMaxRequest};
    Bytes out;             // not yet taken by the socket
    std::size_t sent = 0;  // of out
    bool asked = false;
    bool closing = false;
    bool waiting = false;
  };
  void on_connection();
  void on_readable(ClientId id);
  void flush(ClientId id);
  void drop(ClientId id);

  io::EventLoop& loop_;
  io::UniqueFd listener_;
  OnRequest on_request_;
  OnGone on_gone_;
  std::map<ClientId, std::unique_ptr<Client>> clients_;
  ClientId next_ = 1;
};

}  // namespace cygnet::daemon
