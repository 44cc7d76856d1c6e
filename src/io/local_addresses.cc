// SPDX-License-Identifier: Apache-2.0
#include "io/local_addresses.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "io/errno_text.h"

namespace cygnet::io {

Result<LocalAddresses> LocalAddresses::open() {
  auto asking = RouteSocket::open();
  if (!asking) return std::unexpected(asking.error());
  UniqueFd changes(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (!changes || ::bind(changes.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("cannot listen for changes of addresses");
  }
  LocalAddresses out(std::move(*asking), std::move(changes));
  (void)out.refresh();
  return out;
}

bool LocalAddresses::refresh() {
  drain_route_changes(changes_.get());
  auto listed = asking_.addresses();
  if (!listed) return false;
  std::set<IpAddress> now;
  for (const auto& one : *listed) now.insert(one.prefix.address);
  if (now == addresses_) return false;
  addresses_ = std::move(now);
  return true;
}

std::optional<IpAddress> LocalAddresses::within(const IpPrefix& prefix) const {
  const auto found = std::ranges::find_if(
      addresses_, [&](const IpAddress& a) { return prefix.contains(a) && !a.is_loopback() && !a.is_link_local(); });
  return found == addresses_.end() ? std::nullopt : std::optional(*found);
}

}  // namespace cygnet::io
