// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/message_port.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "io/errno_text.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint64_t kListenerToken = 1ULL << 32U;  // clients have their own numbers, below
constexpr int kDatagramBudget = 16;                    // of one client in a turn: packets wait meanwhile
constexpr int kMessageBudget = 512;                    // sent to one client in a turn
constexpr int kAcceptBudget = 64;

std::string name_peer(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "a client";
  return "the client with process number " + std::to_string(peer.pid);
}

}  // namespace

MessagePort::MessagePort(sadb::MessageServer& server, std::string subject, io::UniqueFd listener, Logger& log)
    : server_(server),
      subject_(std::move(subject)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      listener_(std::move(listener)),
      log_(log) {
  watch(listener_.get(), kListenerToken);
}

void MessagePort::watch(int fd, std::uint64_t token) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    log_.error(subject_, "cannot watch a socket: " + io::errno_text(errno));
  }
}

bool MessagePort::on_ready(sadb::PfkeyTime time) {
  std::array<epoll_event, 64> events{};
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kListenerToken) {
      accept_clients();
    } else {
      on_client(static_cast<ClientId>(event.data.u64), event.events, time);
    }
  }
  return n > 0;
}

void MessagePort::on_client(ClientId id, std::uint32_t events, sadb::PfkeyTime time) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  if ((events & EPOLLOUT) != 0) it->second.blocked = false;
  const bool gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if (gone && !server_.takes_requests(id)) {
    close(id);  // it will never read what waits for it
  } else if (gone || (events & EPOLLIN) != 0) {
    read_from(id, time);
  }
}

void MessagePort::accept_clients() {
  for (int i = 0; i < kAcceptBudget; ++i) {
    auto fd = io::accept_stream(listener_.get());
    if (!fd) return;
    const auto id = server_.add_client(name_peer(fd.get()));
    if (!id) continue;
    watch(fd.get(), *id);
    connections_[*id] = {.fd = std::move(fd), .watched = EPOLLIN};
  }
}

void MessagePort::read_from(ClientId id, sadb::PfkeyTime time) {
  for (int i = 0; i < kDatagramBudget && server_.takes_requests(id); ++i) {
    io::Message datagram;
    const auto status = io::receive_message(connections_.at(id).fd.get(), datagram);
    if (status == io::ReceiveStatus::kNothing) return;
    if (status == io::ReceiveStatus::kClosed) {
      close(id);
      return;
    }
    if (!on_private_ || !on_private_(id, datagram)) server_.on_datagram(id, datagram.bytes, time);
    wipe(datagram.bytes);  // keys pass here
  }
}

void MessagePort::close(ClientId id) {
  server_.remove_client(id);
  connections_.erase(id);  // leaves the epoll set with its last descriptor
  if (on_gone_) on_gone_(id);
}

bool MessagePort::write_to(ClientId id, Connection& connection, sadb::PfkeyTime time) {
  for (int i = 0; i < kMessageBudget && !connection.blocked; ++i) {
    const auto message = server_.next(id, time);
    if (!message) return false;
    if (io::send_message(connection.fd.get(), *message) == io::SendStatus::kFull) {
      connection.blocked = true;
      return false;
    }
    // A closed one: its reading side tells.
    server_.sent(id);
  }
  return !connection.blocked;
}

void MessagePort::adjust(ClientId id, Connection& connection) {
  std::uint32_t wanted = connection.blocked ? std::uint32_t{EPOLLOUT} : 0;
  if (server_.takes_requests(id)) wanted |= EPOLLIN;
  if (wanted == connection.watched) return;
  connection.watched = wanted;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = id;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
}

bool MessagePort::write_all(sadb::PfkeyTime time) {
  bool more = false;
  for (auto& [id, connection] : connections_) {
    more = write_to(id, connection, time) || more;
    adjust(id, connection);
  }
  for (const auto id : server_.take_cut_off()) close(id);
  return more;
}

}  // namespace cygnet::daemon
