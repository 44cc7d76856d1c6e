// SPDX-License-Identifier: Apache-2.0

// Datagrams of IKE out.
#include <algorithm>

#include "daemon/ike_role/ike_process.h"
#include "daemon/ike_role/trains.h"

namespace cygnet::daemon {

const io::OuterSocket* IkeProcess::socket_for(const ike::Path& path) const {
  const auto& setup = configuration_.conf.setup;
  const auto port = path.marked ? setup.nat_port : setup.ike_port;
  const auto socket = std::ranges::find_if(
      sockets_, [&](const auto& s) { return s.family == path.remote.address.family() && s.port == port; });
  return socket == sockets_.end() ? nullptr : &*socket;
}

// Those that leave through one socket in their order, and in one call.
void IkeProcess::send_all(const std::vector<ike::SendDatagram>& datagrams) {
  std::vector<std::pair<const io::OuterSocket*, std::vector<const ike::SendDatagram*>>> by_socket;
  for (const auto& one : datagrams) {
    const auto* socket = socket_for(one.path);
    if (socket == nullptr) {
      log_.warning(one.path.remote.to_string(), "cannot be reached: there is no socket of its address family");
      continue;
    }
    auto known = std::ranges::find(by_socket, socket, &decltype(by_socket)::value_type::first);
    if (known == by_socket.end()) known = by_socket.insert(known, {socket, {}});
    known->second.push_back(&one);
  }
  for (const auto& [socket, some] : by_socket) send_through(*socket, some);
}

void IkeProcess::send_through(const io::OuterSocket& socket, std::span<const ike::SendDatagram* const> datagrams) {
  const auto trains = make_trains(datagrams);
  sender_.send(socket, trains.cars, [&](const io::SendFailure& failure) {
    // Whoever forges addresses that cannot be reached does not fill the log.
    if (trains.sources[static_cast<std::size_t>(failure.what - trains.cars.data())]->at_once) return;
    const auto& remote = failure.what->remote;
    log_.warning(remote.to_string(), "cannot send IKE from " + failure.what->local.to_string() + ": " +
                                         std::generic_category().message(failure.error) +
                                         " (is there a route? ip route get " + remote.address.to_string() + ")");
  });
}

}  // namespace cygnet::daemon
