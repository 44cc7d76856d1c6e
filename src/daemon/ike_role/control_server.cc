// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/control_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "io/unix_socket.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMaxUnread = 64UL << 20U;  // beyond one large answer: the client does not read
constexpr std::size_t kMaxRead = 1UL << 20U;     // what the socket has taken is let go from here on

}  // namespace

ControlServer::ControlServer(io::EventLoop& loop, io::UniqueFd listener, OnRequest on_request, OnGone on_gone)
    : loop_(loop), listener_(std::move(listener)), on_request_(std::move(on_request)), on_gone_(std::move(on_gone)) {
  loop_.watch(listener_.get(), [this] { on_connection(); });
}

ControlServer::~ControlServer() {
  loop_.unwatch(listener_.get());
  for (auto& [id, client] : clients_) {
    loop_.unwatch(client->fd.get());
  }
}

void ControlServer::on_connection() {
  auto fd = io::accept_stream(listener_.get());
  if (!fd || clients_.size() >= kMaxClients) {
    return;  // closed at once: the client sees the end of the stream
  }
  const ClientId id = next_++;
  const int number = fd.get();
  clients_.emplace(id, std::make_unique<Client>(std::move(fd)));
  loop_.watch(number, [this, id] { on_readable(id); });
}

void ControlServer::on_readable(ClientId id) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) {
    return;
  }
  auto& client = *it->second;
  std::array<std::uint8_t, 16384> buffer{};
  const auto n = ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  // More after the one request, or the end of the stream: done with this client.
  if (n <= 0 || client.asked) {
    drop(id);
    return;
  }
  client.reader.feed(ByteView(buffer).first(static_cast<std::size_t>(n)));
  auto frame = client.reader.next();
  if (!frame) {
    drop(id);
    return;
  }
  const auto& text = *frame;
  if (!text) {
    return;
  }
  client.asked = true;
  auto request = control::decode_request(*text);
  if (!request) {
    send(id, control::Done{.ok = false, .message = request.error().message});
    return;
  }
  on_request_(id, std::move(*request));
}

void ControlServer::send(ClientId id, const control::Response& response) {
  const auto it = clients_.find(id);
  if (it == clients_.end() || it->second->closing) {
    return;
  }
  auto& client = *it->second;
  client.closing = std::holds_alternative<control::Done>(response);
  if (!client.closing && client.out.size() - client.sent > kMaxUnread) {
    // Not here: whoever sends may be walking through those who listen.
    client.closing = true;
    loop_.post([this, id] { drop(id); });
    return;
  }
  append(client.out, control::frame(control::encode(response)));
  if (!client.waiting) {
    flush(id);
  }
}

void ControlServer::flush(ClientId id) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) {
    return;
  }
  auto& client = *it->second;
  client.waiting = false;
  while (client.sent < client.out.size()) {
    const auto n = ::send(client.fd.get(), client.out.data() + client.sent, client.out.size() - client.sent,
                          MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      client.sent += static_cast<std::size_t>(n);
      if (client.sent > kMaxRead && client.sent > client.out.size() / 2) {
        Bytes rest(client.out.begin() + static_cast<std::ptrdiff_t>(client.sent), client.out.end());
        wipe(client.out);
        client.out = std::move(rest);
        client.sent = 0;
      }
    } else if (n < 0 && errno == EAGAIN) {
      client.waiting = true;
      loop_.when_writable(client.fd.get(), [this, id] { flush(id); });
      return;
    } else if (errno != EINTR) {
      loop_.post([this, id] { drop(id); });
      return;
    }
  }
  client.out.clear();
  client.sent = 0;
  if (client.closing) {
    (void)::shutdown(client.fd.get(), SHUT_WR);
    loop_.post([this, id] { drop(id); });
  }
}

void ControlServer::drop(ClientId id) {
  const auto it = clients_.find(id);
  if (it == clients_.end()) {
    return;
  }
  loop_.unwatch(it->second->fd.get());
  wipe(it->second->out);
  clients_.erase(it);
  on_gone_(id);
}

}  // namespace cygnet::daemon
