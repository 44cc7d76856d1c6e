// SPDX-License-Identifier: Apache-2.0
// What the kernel tells of links, addresses, routes and rules, without being asked.
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "io/errno_text.h"
#include "io/netlink_reading.h"
#include "io/rtnetlink.h"

namespace cygnet::io {
namespace {

constexpr int kNoticesBuffer = 8 << 20;

std::uint32_t table_of(const nlmsghdr& message) {
  const auto* body = body_of<rtmsg>(message);
  if (body == nullptr) return 0;
  std::uint32_t table = body->rtm_table;
  each_attribute<rtmsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == RTA_TABLE) table = u32_of(attribute);
  });
  return table;
}

RouteChanges touches(const nlmsghdr& message, const RouteChangeFilter& ours) {
  if (message.nlmsg_pid != 0 && message.nlmsg_pid == ours.own_port) return {};
  const auto is_ours = [&](int index) { return std::ranges::find(ours.devices, index) != ours.devices.end(); };
  switch (message.nlmsg_type) {
    // Also one that was put before ours.
    case RTM_NEWRULE:
    case RTM_DELRULE: return {.ours = true};
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const auto* body = body_of<ifinfomsg>(message);
      if (body == nullptr) return {};
      const bool its_ours = is_ours(body->ifi_index);
      return {.ours = its_ours, .addresses = !its_ours};
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const auto* body = body_of<ifaddrmsg>(message);
      if (body == nullptr) return {};
      if (!is_ours(static_cast<int>(body->ifa_index))) return {.addresses = true};
      return {.ours = message.nlmsg_type == RTM_DELADDR};
    }
    // Also one that takes the place of ours.
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return {.ours = table_of(message) == ours.table};
    default: return {};
  }
}

// A gateway sets a route for each tunnel: the kernel need not wake us to say so. Without the filter we are told, and no
// more is lost than time.
void leave_own_routes_out(int fd, std::uint32_t own_port) {
  // The loads take what they find for network byte order.
  std::array<sock_filter, 7> program{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  }};
  const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
  (void)::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &whole, sizeof whole);
}

}  // namespace

Result<UniqueFd> open_route_changes(std::uint32_t own_port) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  const auto group = [](unsigned number) { return 1U << (number - 1); };
  address.nl_groups = group(RTNLGRP_LINK) | group(RTNLGRP_IPV4_IFADDR) | group(RTNLGRP_IPV6_IFADDR) |
                      group(RTNLGRP_IPV4_ROUTE) | group(RTNLGRP_IPV6_ROUTE) | group(RTNLGRP_IPV4_RULE) |
                      group(RTNLGRP_IPV6_RULE);
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("cannot listen for changes of routes and addresses");
  }
  if (own_port != 0) leave_own_routes_out(fd.get(), own_port);
  // What is lost would mean looking at all routes.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kNoticesBuffer, sizeof kNoticesBuffer);
  return fd;
}

RouteChanges& RouteChanges::operator|=(const RouteChanges& more) {
  ours = ours || more.ours;
  addresses = addresses || more.addresses;
  return *this;
}

RouteChanges drain_route_changes(int fd, const RouteChangeFilter& ours) {
  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  RouteChanges touched;
  for (;;) {
    const auto n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    // errno speaks of failures only: after an end of file it is stale, and would hold the process here for ever.
    if (n == 0 || (n < 0 && errno != ENOBUFS && errno != EINTR)) {
      return touched;
    }
    if (n < 0 || static_cast<std::size_t>(n) > buffer.size()) {
      // Some were lost, or one is larger than can be read: anything may have happened.
      if (n > 0 || errno == ENOBUFS) touched = {.ours = true, .addresses = true};
      continue;
    }
    int left = static_cast<int>(n);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      touched |= touches(*m, ours);
    }
  }
}

}  // namespace cygnet::io
