// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/lent_sockets.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace cygnet::daemon {

int LentSockets::lend(ClientId client, const wire::xfrm::WrapMessage& said, std::vector<io::UniqueFd>& fds) {
  const bool known = said.value == AF_INET || said.value == AF_INET6;
  if (fds.size() != 1 || !known || said.second == 0 || said.second > UINT16_MAX) return EINVAL;
  if (sockets_.size() >= kMostSockets) {
    log_.warning("xfrm", "a program wants to share a UDP port, and " + std::to_string(kMostSockets) +
                             " are shared already: it is refused");
    return EMFILE;
  }
  const auto port = static_cast<std::uint16_t>(said.second);
  auto socket = io::adopt_udp(std::move(fds.front()), said.value == AF_INET ? Family::kV4 : Family::kV6, port);
  if (!socket) {
    log_.warning("xfrm", "a program wants to share a UDP port: " + socket.error().message);
    return EINVAL;
  }
  const bool has_v4 =
      std::ranges::any_of(sockets_, [&](const Lent& lent) { return lent.port == port && lent.family == Family::kV4; });
  if (io::takes_both_families(*socket) && !has_v4) {
    log_.warning("xfrm",
                 "a program wants to share UDP port " + std::to_string(port) +
                     " for both address families by one socket: the engine could not answer over IPv4 from that "
                     "port, and refuses; two sockets work");
    return EOPNOTSUPP;
  }
  const auto family = socket->family;
  const auto number = begin_(std::move(*socket));
  if (!number) {
    log_.error("xfrm", number.error().message);
    return ENOBUFS;
  }
  sockets_.push_back({client, *number, port, family, said.pid, said.sequence});
  log_.info("xfrm", "UDP port " + std::to_string(port) + " is shared with a program: ESP that arrives on it is ours");
  return 0;
}

template <typename Which>
void LentSockets::end_those(Which which) {
  std::erase_if(sockets_, [&](const Lent& lent) {
    if (!which(lent)) return false;
    end_(lent.number);
    return true;
  });
}

int LentSockets::release(const wire::xfrm::WrapMessage& said) {
  const auto before = sockets_.size();
  end_those([&](const Lent& lent) {
    return lent.port == said.second && (lent.process == said.pid || lent.process_group == said.sequence);
  });
  return sockets_.size() == before ? ENOENT : 0;
}

void LentSockets::on_gone(ClientId client) {
  end_those([&](const Lent& lent) { return lent.client == client; });
}

}  // namespace cygnet::daemon
