// SPDX-License-Identifier: Apache-2.0
#include "io/rtnetlink.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "io/errno_text.h"
#include "io/netlink_reading.h"
#include "io/netlink_request.h"

namespace cygnet::io {

using netlink::af_of;
using netlink::family_of;
using netlink::kOurRouteProtocol;
using netlink::Request;

namespace {

// Largest netlink datagram the kernel makes for a dump.
constexpr std::size_t kReceiveBuffer = 64UL * 1024;
constexpr std::size_t kRoutesTogether = 64;  // in one datagram: their answers fit into the socket's buffer
void parse_kind(const nlattr* nested, Link& link) {
  const auto inside = [](const nlattr* attribute, auto&& on_each) {
    walk_attributes(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), on_each);
  };
  inside(nested, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == IFLA_INFO_KIND) {
      const auto text = payload_of(attribute);
      link.kind.assign(text.begin(), text.end());
      link.kind = link.kind.c_str();
    } else if (type == IFLA_INFO_DATA && link.kind == "xfrm") {
      inside(attribute, [&](std::uint16_t inner, const nlattr* value) {
        if (inner == IFLA_XFRM_IF_ID) link.xfrm_id = u32_of(value);
      });
    }
  });
}

std::optional<Link> parse_link(const nlmsghdr& message) {
  const auto* body = body_of<ifinfomsg>(message);
  if (body == nullptr || message.nlmsg_type != RTM_NEWLINK) {
    return std::nullopt;
  }
  Link link{.index = body->ifi_index, .up = (body->ifi_flags & IFF_UP) != 0};
  const bool ethernet = body->ifi_type == ARPHRD_ETHER;
  each_attribute<ifinfomsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == IFLA_IFNAME) {
      const auto text = payload_of(attribute);
      link.name.assign(text.begin(), text.end());
      link.name = link.name.c_str();  // without the trailing zero
    } else if (type == IFLA_MTU) {
      link.mtu = u32_of(attribute);
    } else if (type == IFLA_ADDRESS && ethernet) {
      link.mac = mac_of(attribute);
    } else if (type == IFLA_NUM_RX_QUEUES) {
      link.queues = u32_of(attribute);
    } else if (type == IFLA_LINKINFO) {
      parse_kind(attribute, link);
    }
  });
  return link;
}

std::optional<InterfaceAddress> parse_address(const nlmsghdr& message) {
  const auto* body = body_of<ifaddrmsg>(message);
  const auto family = body == nullptr ? std::nullopt : family_of(body->ifa_family);
  if (!family || message.nlmsg_type != RTM_NEWADDR) {
    return std::nullopt;
  }
  InterfaceAddress out{.index = static_cast<int>(body->ifa_index),
                       .usable = (body->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0};
  std::optional<IpAddress> local;
  std::optional<IpAddress> address;
  each_attribute<ifaddrmsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == IFA_LOCAL) {
      local = address_of(attribute, *family);
    } else if (type == IFA_ADDRESS) {
      address = address_of(attribute, *family);
    }
  });
  // On point-to-point links IFA_ADDRESS is the peer's.
  const auto own = local ? local : address;
  if (!own) {
    return std::nullopt;
  }
  out.prefix = {*own, body->ifa_prefixlen};
  if (address && *address != *own) out.peer = address;
  return out;
}

void parse_metrics(const nlattr* nested, Route& route) {
  walk_attributes(mnl_attr_get_payload(nested), mnl_attr_get_payload_len(nested),
                  [&](std::uint16_t type, const nlattr* attribute) {
                    if (type == RTAX_MTU) {
                      route.mtu = u32_of(attribute);
                    }
                  });
}

Route::Kind kind_of(std::uint8_t type) {
  switch (type) {
    case RTN_UNICAST: return Route::Kind::kUnicast;
    case RTN_THROW: return Route::Kind::kThrow;
    case RTN_UNREACHABLE: return Route::Kind::kUnreachable;
    default: return Route::Kind::kOther;
  }
}

std::uint8_t type_of(Route::Kind kind) {
  switch (kind) {
    case Route::Kind::kThrow: return RTN_THROW;
    case Route::Kind::kUnreachable: return RTN_UNREACHABLE;
    default: return RTN_UNICAST;
  }
}

std::optional<Route> parse_route(const nlmsghdr& message) {
  const auto* body = body_of<rtmsg>(message);
  const auto family = body == nullptr ? std::nullopt : family_of(body->rtm_family);
  if (!family || message.nlmsg_type != RTM_NEWROUTE || (body->rtm_flags & RTM_F_CLONED) != 0) {
    return std::nullopt;
  }
  Route route{.kind = kind_of(body->rtm_type),
              .destination = {IpAddress::any(*family), body->rtm_dst_len},
              .table = body->rtm_table,
              .protocol = body->rtm_protocol};
  each_attribute<rtmsg>(message, [&](std::uint16_t type, const nlattr* attribute) {
    switch (type) {
      case RTA_DST: route.destination.address = address_of(attribute, *family).value_or(IpAddress::any(*family)); break;
      case RTA_TABLE: route.table = u32_of(attribute); break;
      case RTA_OIF: route.device = static_cast<int>(u32_of(attribute)); break;
      case RTA_PREFSRC: route.source = address_of(attribute, *family); break;
      case RTA_GATEWAY: route.gateway = address_of(attribute, *family); break;
      case RTA_PRIORITY: route.metric = u32_of(attribute); break;
      case RTA_METRICS: parse_metrics(attribute, route); break;
      case RTA_VIA:
      case RTA_ENCAP:
      case RTA_MULTIPATH: route.indirect = true; break;
      default: break;
    }
  });
  if (route.kind == Route::Kind::kUnreachable) route.device = 0;  // IPv6 says `lo`
  return route;
}

Request route_request(const Route& route, std::uint16_t type, std::uint16_t flags) {
  Request request(type, flags);
  auto* body = request.body<rtmsg>();
  body->rtm_family = af_of(route.destination.address.family());
  body->rtm_dst_len = route.destination.length;
  body->rtm_table = RT_TABLE_UNSPEC;
  body->rtm_protocol = kOurRouteProtocol;
  body->rtm_type = type_of(route.kind);
  body->rtm_scope = route.gateway || body->rtm_type != RTN_UNICAST ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (body->rtm_family == AF_INET6) {
    body->rtm_scope = RT_SCOPE_UNIVERSE;
  }
  request.address(RTA_DST, route.destination.network());
  request.u32(RTA_TABLE, route.table);
  if (route.device != 0) {
    request.u32(RTA_OIF, static_cast<std::uint32_t>(route.device));
  }
  if (route.source) {
    request.address(RTA_PREFSRC, *route.source);
  }
  if (route.gateway) {
    request.address(RTA_GATEWAY, *route.gateway);
  }
  if (route.metric != 0) {
    request.u32(RTA_PRIORITY, route.metric);
  }
  if (route.mtu != 0) {
    nlattr* metrics = mnl_attr_nest_start(request.header, RTA_METRICS);
    request.u32(RTAX_MTU, route.mtu);
    mnl_attr_nest_end(request.header, metrics);
  }
  return request;
}

Request address_request(int index, const IpAddress& address, std::uint16_t type, std::uint16_t flags) {
  Request request(type, flags);
  auto* body = request.body<ifaddrmsg>();
  body->ifa_family = af_of(address.family());
  body->ifa_prefixlen = static_cast<std::uint8_t>(address.bits());
  body->ifa_index = static_cast<std::uint32_t>(index);
  // Nobody else can have it on a TUN device: no duplicate address detection.
  body->ifa_flags = address.is_v6() ? IFA_F_NODAD : 0;
  request.address(IFA_LOCAL, address);
  request.address(IFA_ADDRESS, address);
  return request;
}

}  // namespace

Result<RouteSocket> RouteSocket::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) {
    return fail_errno("cannot open a netlink socket");
  }
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  // The kernel would choose a number with the first message; it is wanted before.
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  socklen_t length = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return fail_errno("cannot use a netlink socket");
  }
  RouteSocket out(std::move(fd));
  out.port_ = address.nl_pid;
  return out;
}

Result<void> RouteSocket::talk(nlmsghdr& request, const OnReply& on_reply, std::string_view what, int forgiven_errno) {
  const std::uint32_t sequence = sequence_++;
  request.nlmsg_seq = sequence;
  const bool dump = (request.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  if (::send(fd_.get(), &request, request.nlmsg_len, 0) < 0) {
    return fail_errno(what);
  }
  auto& buffer = received_;
  buffer.resize(kReceiveBuffer);
  for (;;) {
    const auto n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return fail_errno(what);
    }
    int left = static_cast<int>(n);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      if (m->nlmsg_seq != sequence) {
        continue;
      }
      if (m->nlmsg_type == NLMSG_DONE) {
        return {};
      }
      if (m->nlmsg_type == NLMSG_ERROR) {
        const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error;
        if (error == 0 || error == forgiven_errno) {
          return {};
        }
        errno = error;
        return fail_errno(what);
      }
      if (on_reply) {
        on_reply(*m);
      }
      if (!dump && (request.nlmsg_flags & NLM_F_ACK) == 0) {
        return {};
      }
    }
  }
}

Result<std::vector<Link>> RouteSocket::links() {
  Request request(RTM_GETLINK, NLM_F_DUMP);
  request.body<ifinfomsg>()->ifi_family = AF_UNSPEC;
  std::vector<Link> out;
  const auto done = talk(
      *request.header,
      [&](const nlmsghdr& m) {
        if (auto link = parse_link(m)) {
          out.push_back(std::move(*link));
        }
      },
      "cannot list the network interfaces");
  return done ? Result<std::vector<Link>>(std::move(out)) : std::unexpected(done.error());
}

Result<std::vector<InterfaceAddress>> RouteSocket::addresses() {
  Request request(RTM_GETADDR, NLM_F_DUMP);
  request.body<ifaddrmsg>()->ifa_family = AF_UNSPEC;
  std::vector<InterfaceAddress> out;
  const auto done = talk(
      *request.header,
      [&](const nlmsghdr& m) {
        const auto address = parse_address(m);
        if (address && address->prefix.address != kKeepsRoutes) out.push_back(*address);
      },
      "cannot list this machine's addresses");
  return done ? Result<std::vector<InterfaceAddress>>(std::move(out)) : std::unexpected(done.error());
}

Result<std::vector<Route>> RouteSocket::routes(Family family, std::uint32_t table) {
  return routes_by(RTPROT_UNSPEC, family, table);
}

Result<std::vector<Route>> RouteSocket::routes_by(std::uint8_t protocol, Family family, std::uint32_t table) {
  Request request(RTM_GETROUTE, NLM_F_DUMP);
  auto* body = request.body<rtmsg>();
  body->rtm_family = af_of(family);
  body->rtm_protocol = protocol;
  request.u32(RTA_TABLE, table);
  std::vector<Route> out;
  const auto done = talk(
      *request.header,
      [&](const nlmsghdr& m) {
        // Kernels before 4.20 do not filter.
        auto route = parse_route(m);
        if (!route || route->table != table) return;
        if (protocol == RTPROT_UNSPEC || route->protocol == protocol) out.push_back(*route);
      },
      "cannot list the routes", ENOENT);  // no such table: no routes
  return done ? Result<std::vector<Route>>(std::move(out)) : std::unexpected(done.error());
}

Result<Route> RouteSocket::route_to(const IpAddress& destination, const std::optional<IpAddress>& source,
                                    std::uint32_t mark) {
  return decide(destination, source, mark, 0);
}

Result<Route> RouteSocket::entry_for(const IpAddress& destination, std::uint32_t mark) {
  return decide(destination, std::nullopt, mark, 0, true);
}

Result<Route> RouteSocket::forwarded_to(const IpAddress& destination, const IpAddress& source) {
  const auto back = route_to(source, std::nullopt, 0);
  return back ? decide(destination, source, 0, back->device) : std::unexpected(back.error());
}

Result<Route> RouteSocket::decide(const IpAddress& destination, const std::optional<IpAddress>& source,
                                  std::uint32_t mark, int came_in_by, bool entry) {
  Request request(RTM_GETROUTE, 0);
  auto* body = request.body<rtmsg>();
  if (entry) body->rtm_flags = RTM_F_FIB_MATCH;
  body->rtm_family = af_of(destination.family());
  body->rtm_dst_len = static_cast<std::uint8_t>(destination.bits());
  request.address(RTA_DST, destination);
  if (source && !source->is_unspecified()) {
    body->rtm_src_len = static_cast<std::uint8_t>(source->bits());
    request.address(RTA_SRC, *source);
  }
  if (mark != 0) {
    request.u32(RTA_MARK, mark);
  }
  if (came_in_by != 0) {
    request.u32(RTA_IIF, static_cast<std::uint32_t>(came_in_by));
  }
  std::optional<Route> found;
  const auto done = talk(
      *request.header,
      [&](const nlmsghdr& m) {
        // The answer carries RTM_F_CLONED: it is a decision, not an entry of a table.
        nlmsghdr* answer = const_cast<nlmsghdr*>(&m);
        if (auto* cloned = static_cast<rtmsg*>(mnl_nlmsg_get_payload(answer)); body_of<rtmsg>(m) != nullptr) {
          cloned->rtm_flags &= ~static_cast<unsigned>(RTM_F_CLONED);
        }
        found = parse_route(*answer);
      },
      "no route to " + destination.to_string());
  if (!done) {
    return std::unexpected(done.error());
  }
  return found ? Result<Route>(*found) : fail("no route to " + destination.to_string());
}

Result<void> RouteSocket::set_up(int index, std::uint32_t mtu) {
  Request request(RTM_NEWLINK, NLM_F_ACK);
  auto* body = request.body<ifinfomsg>();
  body->ifi_index = index;
  body->ifi_flags = IFF_UP;
  body->ifi_change = IFF_UP;
  if (mtu != 0) {
    request.u32(IFLA_MTU, mtu);
  }
  return talk(*request.header, {}, "cannot bring the device up");
}

Result<void> RouteSocket::remove_link(int index) {
  Request request(RTM_DELLINK, NLM_F_ACK);
  request.body<ifinfomsg>()->ifi_index = index;
  return talk(*request.header, {}, "cannot remove the device", ENODEV);
}

namespace {

Request xfrm_interface_request(const std::string& name, std::uint32_t id) {
  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  (void)request.body<ifinfomsg>();
  mnl_attr_put_strz(request.header, IFLA_IFNAME, name.c_str());
  nlattr* info = mnl_attr_nest_start(request.header, IFLA_LINKINFO);
  mnl_attr_put_str(request.header, IFLA_INFO_KIND, "xfrm");
  nlattr* data = mnl_attr_nest_start(request.header, IFLA_INFO_DATA);
  request.u32(IFLA_XFRM_IF_ID, id);
  mnl_attr_nest_end(request.header, data);
  mnl_attr_nest_end(request.header, info);
  return request;
}

}  // namespace

Result<void> RouteSocket::add_xfrm_interface(const std::string& name, std::uint32_t id) {
  auto request = xfrm_interface_request(name, id);
  return talk(*request.header, {}, "cannot make the XFRM interface " + name);
}

bool RouteSocket::has_xfrm_interfaces() {
  // "Must specify if_id": where there is no such kind of interface, nobody looks at the ID.
  auto request = xfrm_interface_request("cygnet-probe", 0);
  errno = 0;
  if (!talk(*request.header, {}, "no XFRM interfaces")) return errno != EOPNOTSUPP;
  // Linux before 5.2 takes it.
  const auto all = links();
  for (const auto& link : all ? *all : std::vector<Link>{}) {
    if (link.name == "cygnet-probe") (void)remove_link(link.index);
  }
  return true;
}

Result<void> RouteSocket::no_link_local_address(int index) {
  Request request(RTM_NEWLINK, NLM_F_ACK);
  request.body<ifinfomsg>()->ifi_index = index;
  nlattr* families = mnl_attr_nest_start(request.header, IFLA_AF_SPEC);
  nlattr* v6 = mnl_attr_nest_start(request.header, AF_INET6);
  mnl_attr_put_u8(request.header, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  mnl_attr_nest_end(request.header, v6);
  mnl_attr_nest_end(request.header, families);
  return talk(*request.header, {}, "cannot turn the device's link-local address off");
}

Result<bool> RouteSocket::keep_routes(int index) {
  auto request = address_request(index, kKeepsRoutes, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  static_cast<ifaddrmsg*>(mnl_nlmsg_get_payload(request.header))->ifa_scope = RT_SCOPE_HOST;
  errno = 0;
  const auto set = talk(*request.header, {}, "cannot give the device an address that keeps its routes");
  if (set) return true;
  if (errno == EEXIST) return false;
  return std::unexpected(set.error());
}

Result<void> RouteSocket::stop_keeping_routes(int index) { return remove_address(index, kKeepsRoutes); }

Result<void> RouteSocket::add_address(int index, const IpAddress& address) {
  auto request = address_request(index, address, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  return talk(*request.header, {}, "cannot set the address " + address.to_string(), EEXIST);
}

Result<void> RouteSocket::remove_address(int index, const IpAddress& address) {
  auto request = address_request(index, address, RTM_DELADDR, NLM_F_ACK);
  return talk(*request.header, {}, "cannot remove the address " + address.to_string(), EADDRNOTAVAIL);
}

Result<void> RouteSocket::add_route(const Route& route) {
  auto request = route_request(route, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  return talk(*request.header, {}, "cannot set the route " + route.destination.to_string(), EEXIST);
}

Result<void> RouteSocket::remove_route(const Route& route) {
  auto request = route_request(route, RTM_DELROUTE, NLM_F_ACK);
  return talk(*request.header, {}, "cannot remove the route " + route.destination.to_string(), ESRCH);
}

std::vector<std::pair<std::size_t, Error>> RouteSocket::add_routes(std::span<const Route> routes) {
  return set_together(routes, true);
}

std::vector<std::pair<std::size_t, Error>> RouteSocket::remove_routes(std::span<const Route> routes) {
  return set_together(routes, false);
}

std::vector<std::pair<std::size_t, Error>> RouteSocket::set_together(std::span<const Route> routes, bool there) {
  std::vector<std::pair<std::size_t, Error>> failed;
  for (std::size_t first = 0; first < routes.size(); first += kRoutesTogether) {
    const auto some = routes.subspan(first, std::min(kRoutesTogether, routes.size() - first));
    for (auto& [place, error] : set_some_together(some, there)) failed.emplace_back(first + place, std::move(error));
  }
  return failed;
}

// The kernel takes several messages in one datagram, answers each that fails, and the last one in any case.
std::vector<std::pair<std::size_t, Error>> RouteSocket::set_some_together(std::span<const Route> routes, bool there) {
  std::vector<char> together;
  const std::uint32_t first = sequence_;
  for (const auto& route : routes) {
    const auto last = &route == &routes.back();
    const auto flags = static_cast<std::uint16_t>((there ? NLM_F_CREATE | NLM_F_REPLACE : 0) | (last ? NLM_F_ACK : 0));
    auto request = route_request(route, there ? RTM_NEWROUTE : RTM_DELROUTE, flags);
    request.header->nlmsg_seq = sequence_++;
    together.insert(together.end(), request.buffer.begin(),
                    request.buffer.begin() + NLMSG_ALIGN(request.header->nlmsg_len));
  }
  std::vector<std::pair<std::size_t, Error>> failed;
  const auto none_of_them = [&] {
    const auto error = fail_errno(there ? "cannot set routes" : "cannot remove routes").error();
    failed.clear();
    for (std::size_t i = 0; i < routes.size(); ++i) failed.emplace_back(i, error);
    return failed;
  };
  if (::send(fd_.get(), together.data(), together.size(), 0) < 0) return none_of_them();
  received_.resize(kReceiveBuffer);
  for (bool over = false; !over;) {
    const auto n = ::recv(fd_.get(), received_.data(), received_.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return none_of_them();
    int left = static_cast<int>(n);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(received_.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      const std::size_t place = m->nlmsg_seq - first;
      if (place >= routes.size() || m->nlmsg_type != NLMSG_ERROR) continue;
      over = over || place + 1 == routes.size();
      const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error;
      if (error == 0 || error == (there ? EEXIST : ESRCH)) continue;
      errno = error;
      const std::string what = there ? "cannot set the route " : "cannot remove the route ";
      failed.emplace_back(place, fail_errno(what + routes[place].destination.to_string()).error());
    }
  }
  return failed;
}

}  // namespace cygnet::io
