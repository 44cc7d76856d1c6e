// SPDX-License-Identifier: Apache-2.0
// Who is where on the networks of this machine, as the kernel has found out; and for whom this machine answers.
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "io/errno_text.h"
#include "io/netlink_reading.h"
#include "io/netlink_request.h"
#include "io/rtnetlink.h"

namespace cygnet::io {

using netlink::af_of;
using netlink::family_of;
using netlink::kOurRouteProtocol;
using netlink::Request;

namespace {

// In these the kernel itself would send there. NUD_STALE too: it asks again meanwhile.
constexpr std::uint16_t kUsable = NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;
constexpr int kChangesBuffer = 1 << 20;

std::optional<Neighbour> parse_neighbour(const nlmsghdr& message) {
  const auto* body = body_of<ndmsg>(message);
  const auto family = body != nullptr ? family_of(body->ndm_family) : std::nullopt;
  if (!family || (message.nlmsg_type != RTM_NEWNEIGH && message.nlmsg_type != RTM_DELNEIGH) ||
      (body->ndm_flags & NTF_PROXY) != 0) {
    return std::nullopt;
  }
  Neighbour out{.device = body->ndm_ifindex, .address = {}, .mac = {}};
  std::optional<IpAddress> address;
  each_attribute<ndmsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == NDA_DST) {
      address = address_of(attribute, *family);
    } else if (type == NDA_LLADDR) {
      out.mac = mac_of(attribute);
    }
  });
  if (!address) return std::nullopt;
  out.address = *address;
  if (message.nlmsg_type == RTM_DELNEIGH || (body->ndm_state & kUsable) == 0) out.mac.reset();
  return out;
}

Request proxy_request(const ProxyNeighbour& proxy, std::uint16_t type, std::uint16_t flags) {
  Request request(type, flags);
  auto* body = request.body<ndmsg>();
  body->ndm_family = af_of(proxy.address.family());
  body->ndm_ifindex = proxy.device;
  body->ndm_flags = NTF_PROXY;
  request.address(NDA_DST, proxy.address);
  mnl_attr_put_u8(request.header, NDA_PROTOCOL, kOurRouteProtocol);
  return request;
}

std::optional<ProxyNeighbour> parse_our_proxy(const nlmsghdr& message) {
  const auto* body = body_of<ndmsg>(message);
  const auto family = body == nullptr ? std::nullopt : family_of(body->ndm_family);
  if (!family || message.nlmsg_type != RTM_NEWNEIGH || (body->ndm_flags & NTF_PROXY) == 0) return std::nullopt;
  ProxyNeighbour out{.device = body->ndm_ifindex, .address = {}};
  bool ours = false;
  std::optional<IpAddress> address;
  each_attribute<ndmsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == NDA_DST) {
      address = address_of(attribute, *family);
    } else if (type == NDA_PROTOCOL) {
      ours = mnl_attr_get_payload_len(attribute) == 1 && mnl_attr_get_u8(attribute) == kOurRouteProtocol;
    }
  });
  if (!ours || !address) return std::nullopt;
  out.address = *address;
  return out;
}

}  // namespace

Result<Neighbour> RouteSocket::neighbour(int device, const IpAddress& address) {
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETNEIGH;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* body = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ndmsg)));
  body->ndm_family = address.is_v4() ? AF_INET : AF_INET6;
  body->ndm_ifindex = device;
  mnl_attr_put(request, NDA_DST, address.size(), address.bytes().data());
  Neighbour out{.device = device, .address = address, .mac = {}};
  const auto done = talk(
      *request,
      [&](const nlmsghdr& message) {
        if (const auto found = parse_neighbour(message)) out.mac = found->mac;
      },
      "cannot ask for a neighbour", ENOENT);
  if (!done) return std::unexpected(done.error());
  return out;
}

Result<UniqueFd> open_neighbour_changes() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1U << (RTNLGRP_NEIGH - 1);
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("cannot listen for changes of neighbours");
  }
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kChangesBuffer, sizeof kChangesBuffer);
  return fd;
}

bool read_neighbour_changes(int fd, const std::function<void(const Neighbour&)>& on_change) {
  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  bool all = true;
  for (;;) {
    const auto n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (n == 0 || (n < 0 && errno != ENOBUFS && errno != EINTR)) return all;
    if (n < 0 || static_cast<std::size_t>(n) > buffer.size()) {
      all = all && n < 0 && errno == EINTR;
      continue;
    }
    int left = static_cast<int>(n);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      if (const auto changed = parse_neighbour(*m)) on_change(*changed);
    }
  }
}

Result<void> RouteSocket::add_proxy(const ProxyNeighbour& proxy) {
  auto request = proxy_request(proxy, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  return talk(*request.header, {}, "cannot answer for " + proxy.address.to_string(), EEXIST);
}

Result<void> RouteSocket::remove_proxy(const ProxyNeighbour& proxy) {
  auto request = proxy_request(proxy, RTM_DELNEIGH, NLM_F_ACK);
  return talk(*request.header, {}, "cannot stop answering for " + proxy.address.to_string(), ENOENT);
}

Result<std::vector<ProxyNeighbour>> RouteSocket::our_proxies(Family family) {
  Request request(RTM_GETNEIGH, NLM_F_DUMP);
  auto* body = request.body<ndmsg>();
  body->ndm_family = af_of(family);
  body->ndm_flags = NTF_PROXY;
  std::vector<ProxyNeighbour> out;
  const auto done = talk(
      *request.header,
      [&](const nlmsghdr& message) {
        if (auto proxy = parse_our_proxy(message)) out.push_back(*proxy);
      },
      "cannot list the addresses answered for");
  if (!done) return std::unexpected(done.error());
  return out;
}

}  // namespace cygnet::io
