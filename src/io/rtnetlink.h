// SPDX-License-Identifier: Apache-2.0
#pragma once

// Links, addresses, routes and policy rules of this network namespace, over rtnetlink (rtnetlink(7)).
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "io/ether_frame.h"
#include "io/fd.h"

struct nlmsghdr;

namespace cygnet::io {

struct Link {
  int index = 0;
  std::string name;
  std::uint32_t mtu = 0;
  bool up = false;
  std::optional<MacAddress> mac;  // of Ethernet interfaces
  std::uint32_t queues = 1;       // for what is received
  std::string kind;               // "xfrm", "tun", …; empty: hardware
  std::uint32_t xfrm_id = 0;      // of an XFRM interface
};
struct InterfaceAddress {
  int index = 0;
  IpPrefix prefix;                // the address, with the length of its network
  std::optional<IpAddress> peer;  // of a point-to-point link: its network is this one's
  bool usable = true;             // not tentative, not failed
  bool operator==(const InterfaceAddress&) const = default;
};
struct Route {
  enum class Kind : std::uint8_t { kUnicast, kThrow, kUnreachable, kOther };
  Kind kind = Kind::kUnicast;
  IpPrefix destination;
  std::uint32_t table = 254;
  int device = 0;                   // 0: none
  std::optional<IpAddress> source;  // preferred source
  std::optional<IpAddress> gateway;
  std::uint32_t mtu = 0;
  std::uint32_t metric = 0;
  std::uint8_t protocol = 0;  // who set it (RTPROT_*)
  bool indirect = false;  // something else than this device and gateway is in it: a tunnel, a gateway of another family
  bool operator==(const Route&) const = default;
};
// `priority: not fwmark MARK lookup TABLE`.
struct MarkRule {
  Family family = Family::kV4;
  std::uint32_t priority = 0;
  std::uint32_t mark = 0;
  std::uint32_t table = 0;
  auto operator<=>(const MarkRule&) const = default;
};

// `priority: from all [to ADDRESS] fwmark 0/MARK iif lo ipproto PROTOCOL dport PORT [uidrange UID-UID] lookup main`:
// what begins on this machine. The mark, which our own outer packets have, tells whose rule it is.
struct QuestionRule {
  Family family = Family::kV4;
  std::uint32_t priority = 0;
  std::uint32_t mark = 0;
  std::optional<IpAddress> to;
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
  std::optional<std::uint32_t> uid;
  auto operator<=>(const QuestionRule&) const = default;
};

// An address for which a device answers ARP or neighbour solicitations though it is not its own.
struct ProxyNeighbour {
  int device = 0;
  IpAddress address;
  auto operator<=>(const ProxyNeighbour&) const = default;
};

// See RouteSocket::keep_routes().
inline const IpAddress kKeepsRoutes = IpAddress::v4(0xc0000008);

// Who is where on a network.
struct Neighbour {
  int device = 0;
  IpAddress address;
  std::optional<MacAddress> mac;  // none: not known, or no longer
  bool operator==(const Neighbour&) const = default;
};

class RouteSocket {
 public:
  [[nodiscard]] static Result<RouteSocket> open();

  [[nodiscard]] Result<std::vector<Link>> links();
  [[nodiscard]] Result<std::vector<InterfaceAddress>> addresses();  // without those of keep_routes()
  [[nodiscard]] Result<std::vector<Route>> routes(Family family, std::uint32_t table);
  // Only those that one protocol (RTPROT_*) has set: far quicker, where others set very many.
  [[nodiscard]] Result<std::vector<Route>> routes_by(std::uint8_t protocol, Family family, std::uint32_t table);
  [[nodiscard]] Result<std::vector<MarkRule>> mark_rules(Family family);  // of the form above only
  // The route the kernel takes to a destination; mark 0: as an ordinary program would.
  [[nodiscard]] Result<Route> route_to(const IpAddress& destination, const std::optional<IpAddress>& source,
                                       std::uint32_t mark);
  // The entry that decides it, with its own destination.
  [[nodiscard]] Result<Route> entry_for(const IpAddress& destination, std::uint32_t mark);
  // Of a packet that comes in where its source is, and is not from this machine.
  [[nodiscard]] Result<Route> forwarded_to(const IpAddress& destination, const IpAddress& source);

  [[nodiscard]] Result<void> set_up(int index, std::uint32_t mtu);
  [[nodiscard]] Result<void> remove_link(int index);
  // id: that of its SAs and policies, not 0.
  [[nodiscard]] Result<void> add_xfrm_interface(const std::string& name, std::uint32_t id);
  // Whether this kernel has any (CONFIG_XFRM_INTERFACE): it is asked for one that cannot be.
  [[nodiscard]] bool has_xfrm_interfaces();
  [[nodiscard]] Result<void> no_link_local_address(int index);  // no fe80:: of its own, no router solicitation
  // With a device's last IPv4 address the kernel takes all IPv4 routes through it. This gives it one that stays: the
  // dummy address of RFC 7600, of host scope, so that nothing is sent from it. False: it had that before.
  [[nodiscard]] Result<bool> keep_routes(int index);
  // Takes it away again.
  [[nodiscard]] Result<void> stop_keeping_routes(int index);
  // Adding what is there and removing what is not both succeed.
  [[nodiscard]] Result<void> add_address(int index, const IpAddress& address);
  [[nodiscard]] Result<void> remove_address(int index, const IpAddress& address);
  [[nodiscard]] Result<void> add_route(const Route& route);
  [[nodiscard]] Result<void> remove_route(const Route& route);
  // As add_route() and remove_route() for each, in one conversation with the kernel: which of them failed, and why.
  [[nodiscard]] std::vector<std::pair<std::size_t, Error>> add_routes(std::span<const Route> routes);
  std::vector<std::pair<std::size_t, Error>> remove_routes(std::span<const Route> routes);
  [[nodiscard]] Result<void> add_rule(const MarkRule& rule);
  [[nodiscard]] Result<void> remove_rule(const MarkRule& rule);
  [[nodiscard]] Result<std::vector<QuestionRule>> question_rules(Family family);  // of ours, whatever their mark
  [[nodiscard]] Result<void> add_rule(const QuestionRule& rule);
  [[nodiscard]] Result<void> remove_rule(const QuestionRule& rule);
  [[nodiscard]] Result<void> add_proxy(const ProxyNeighbour& proxy);
  [[nodiscard]] Result<void> remove_proxy(const ProxyNeighbour& proxy);
  [[nodiscard]] Result<std::vector<ProxyNeighbour>> our_proxies(Family family);  // those add_proxy() made
  // As the kernel knows it now; it is not asked for.
  [[nodiscard]] Result<Neighbour> neighbour(int device, const IpAddress& address);
  // Notices of changes that this socket made carry it.
  [[nodiscard]] std::uint32_t port() const { return port_; }

 private:
  explicit RouteSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  using OnReply = std::function<void(const nlmsghdr&)>;
  [[nodiscard]] Result<void> talk(nlmsghdr& request, const OnReply& on_reply, std::string_view what,
                                  int forgiven_errno = 0);
  [[nodiscard]] Result<Route> decide(const IpAddress& destination, const std::optional<IpAddress>& source,
                                     std::uint32_t mark, int came_in_by, bool entry = false);
  template <typename Rule>
  [[nodiscard]] Result<std::vector<Rule>> list_rules(Family family, std::optional<Rule> (*parse)(const nlmsghdr&));
  template <typename Rule>
  [[nodiscard]] Result<void> set_rule(const Rule& rule);
  template <typename Rule>
  [[nodiscard]] Result<void> unset_rule(const Rule& rule);
  [[nodiscard]] std::vector<std::pair<std::size_t, Error>> set_together(std::span<const Route> routes, bool there);
  [[nodiscard]] std::vector<std::pair<std::size_t, Error>> set_some_together(std::span<const Route> routes, bool there);

  UniqueFd fd_;
  std::uint32_t port_ = 0;
  std::uint32_t sequence_ = 1;
  std::vector<char> received_;
};

// A socket that turns readable when links, addresses, routes or rules change; routes that the RouteSocket with this
// port changes are left out (0: none are).
[[nodiscard]] Result<UniqueFd> open_route_changes(std::uint32_t own_port = 0);
struct RouteChangeFilter {
  std::uint32_t own_port = 0;  // RouteSocket::port() of who asks
  std::uint32_t table = 0;
  std::vector<int> devices;
};
struct RouteChanges {
  // Somebody else may have taken away or replaced a rule, a route of the table, or an address of the devices, or has
  // changed the devices themselves.
  bool ours = false;
  bool addresses = false;  // other devices, or their addresses
  RouteChanges& operator|=(const RouteChanges& more);
};
// Empties it.
RouteChanges drain_route_changes(int fd, const RouteChangeFilter& ours = {});

// A socket that turns readable when neighbours change.
[[nodiscard]] Result<UniqueFd> open_neighbour_changes();
// Empties it. False: some were lost.
[[nodiscard]] bool read_neighbour_changes(int fd, const std::function<void(const Neighbour&)>& on_change);

}  // namespace cygnet::io
