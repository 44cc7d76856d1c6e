// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/esp_path.h"

#include <algorithm>
#include <utility>

namespace cygnet::daemon {

namespace {

constexpr Duration kUntilNextTry = std::chrono::milliseconds(200);
constexpr int kMostTries = 25;
constexpr std::string_view kBusy = "another AF_XDP socket has its queue";

bool same(const NextHop& a, const NextHop& b) {
  return a.usable == b.usable && a.interface == b.interface && a.source == b.source && a.source_mac == b.source_mac &&
         a.destination_mac == b.destination_mac && a.mtu == b.mtu;
}

}  // namespace

EspPath::EspPath(io::EventLoop& loop, Settings settings, Tell tell, Logger& log)
    : loop_(loop), settings_(settings), tell_(std::move(tell)), log_(log) {}

EspPath::~EspPath() {
  if (neighbours_) loop_.unwatch(neighbours_.get());
}

Result<void> EspPath::open() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) return std::unexpected(netlink.error());
  auto neighbours = io::open_neighbour_changes();
  if (!neighbours) return std::unexpected(neighbours.error());
  netlink_.push_back(std::move(*netlink));
  neighbours_ = std::move(*neighbours);
  loop_.watch(neighbours_.get(), [this] { on_neighbours(); });
  look_around();
  return {};
}

void EspPath::on_engine_started() {
  interfaces_.clear();
  hops_.clear();
  tries_ = 0;
}

void EspPath::look_around() {
  links_.clear();
  const auto links = netlink_[0].links();
  for (const auto& link : links ? *links : std::vector<io::Link>{}) links_[link.index] = link;
  addresses_.clear();
  const auto addresses = netlink_[0].addresses();
  for (const auto& one : addresses ? *addresses : std::vector<io::InterfaceAddress>{}) {
    if (one.usable && !one.prefix.address.is_link_local()) addresses_.insert(one.prefix.address);
  }
}

// ---- next hops

void EspPath::on_wanted(const WantNextHops& wanted) {
  if (netlink_.empty()) return;
  if (wanted.anew) hops_.clear();
  std::vector<NextHop> found;
  for (const auto& way : wanted.list) {
    if (hops_.size() >= kMostNextHops && !hops_.contains(way)) {
      if (!std::exchange(told_full_, true))
        log_.warning("network", "esp-path=xdp: more than " + std::to_string(kMostNextHops) +
                                    " peers: the plain ESP of the others goes by sockets");
      continue;
    }
    auto hop = resolve(way);
    found.push_back(hop.told);
    hops_.insert_or_assign(way, std::move(hop));
  }
  tell(found);
}

void EspPath::tell(std::vector<NextHop>& hops) {
  for (std::size_t first = 0; first < hops.size(); first += kHopsTogether) {
    const auto end = std::min(hops.size(), first + kHopsTogether);
    tell_(
        NextHops{{hops.begin() + static_cast<std::ptrdiff_t>(first), hops.begin() + static_cast<std::ptrdiff_t>(end)}},
        {});
  }
}

EspPath::Hop EspPath::resolve(const Way& way) {
  Hop hop{.told = {.local = way.local, .remote = way.remote, .source = way.local}, .device = 0, .via = way.remote};
  const auto route = netlink_[0].route_to(way.remote, way.local, settings_.mark);
  if (!route || route->kind != io::Route::Kind::kUnicast || route->indirect) return hop;
  if (way.local.is_unspecified()) hop.told.source = route->source.value_or(way.local);
  // A socket would refuse to send from another address, too.
  if (!addresses_.contains(hop.told.source)) return hop;
  hop.device = route->device;
  hop.via = route->gateway.value_or(way.remote);
  if (!attach(route->device)) return hop;
  const auto& link = interfaces_.at(route->device).link;
  hop.told.interface = static_cast<std::uint32_t>(link.index);
  hop.told.source_mac = *link.mac;
  hop.told.mtu = route->mtu == 0 ? link.mtu : std::min(link.mtu, route->mtu);
  const auto neighbour = netlink_[0].neighbour(route->device, hop.via);
  if (neighbour && neighbour->mac) {
    hop.told.usable = true;
    hop.told.destination_mac = *neighbour->mac;
  }
  return hop;
}

void EspPath::resolve_all() {
  std::vector<NextHop> changed;
  std::set<int> used;
  for (auto& [way, hop] : hops_) {
    auto fresh = resolve(way);
    used.insert(fresh.device);
    if (!same(fresh.told, hop.told)) changed.push_back(fresh.told);
    hop = std::move(fresh);
  }
  tell(changed);
  for (auto it = interfaces_.begin(); it != interfaces_.end();) {
    const int device = (it++)->first;
    if (!used.contains(device)) detach(device);
  }
}

void EspPath::on_network_changed() {
  if (netlink_.empty()) return;
  look_around();
  tries_ = 0;
  for (auto it = interfaces_.begin(); it != interfaces_.end();) {
    auto& [device, interface] = *it++;
    const auto link = links_.find(device);
    const bool same_place =
        link != links_.end() && link->second.up && link->second.mac == interface.link.mac &&
        io::XdpShape::for_frames_of(link->second.mtu + io::kEtherHeader).frame_octets == interface.shape.frame_octets;
    if (!same_place) {
      detach(device);
      continue;
    }
    interface.link = link->second;
    if (auto set = interface.diversion.set_addresses(addresses_); !set) {
      log_.warning("network", interface.link.name + ": " + set.error().message);
    }
  }
  resolve_all();
}

void EspPath::on_neighbours() {
  std::vector<NextHop> changed;
  const bool all = io::read_neighbour_changes(neighbours_.get(), [&](const io::Neighbour& neighbour) {
    for (auto& [way, hop] : hops_) {
      if (hop.device != neighbour.device || hop.via != neighbour.address || hop.told.interface == 0) continue;
      const auto before = hop.told;
      hop.told.usable = neighbour.mac.has_value();
      hop.told.destination_mac = neighbour.mac.value_or(io::MacAddress{});
      if (!same(before, hop.told)) changed.push_back(hop.told);
    }
  });
  tell(changed);
  if (!all) resolve_all();
}

// ---- interfaces

bool EspPath::attach(int device) {
  if (interfaces_.contains(device)) return true;
  const auto link = links_.find(device);
  if (link == links_.end()) return false;
  const auto done = attach(link->second);
  if (!done) {
    auto& reason = refused_[device];
    if (trying_ && done.error().message == kBusy) return false;
    if (reason != done.error().message) {
      log_.warning("network",
                   "esp-path=xdp: plain ESP on " + link->second.name + " goes by sockets: " + done.error().message);
    }
    reason = done.error().message;
    return false;
  }
  refused_.erase(device);
  log_.info("network", "plain ESP on " + link->second.name +
                           " goes past the kernel's stack (esp-path=xdp): packet filters, tcpdump and other IPsec of "
                           "this machine do not see it there");
  return true;
}

Result<void> EspPath::attach(const io::Link& link) {
  if (!link.mac) return fail("it is no Ethernet interface");
  if (!link.up) return fail("it is down");
  if (interfaces_.size() >= kMostInterfaces) {
    return fail("there are " + std::to_string(kMostInterfaces) + " others already");
  }
  const auto shape = io::XdpShape::for_frames_of(link.mtu + io::kEtherHeader);
  if (shape.frame_octets == 0) {
    constexpr auto kLargest = io::XdpShape{.frame_octets = 4096};
    return fail("its MTU of " + std::to_string(link.mtu) + " is too large; at most " +
                std::to_string(kLargest.largest_frame() - io::kEtherHeader) + " can be had");
  }
  auto diversion =
      io::EspDiversion::attach({.index = link.index, .mac = *link.mac}, settings_.kernel_spis, shape.largest_frame());
  if (!diversion) return std::unexpected(diversion.error());
  if (auto set = diversion->set_addresses(addresses_); !set) return set;
  auto fds = open_queues(link, *diversion, shape);
  if (!fds) return std::unexpected(fds.error());
  tell_(EspInterface{static_cast<std::uint32_t>(link.index), link.name, shape.frame_octets}, std::move(*fds));
  interfaces_.insert_or_assign(link.index, Interface{std::move(*diversion), link, shape});
  return {};
}

Result<std::vector<io::UniqueFd>> EspPath::open_queues(const io::Link& link, io::EspDiversion& diversion,
                                                       const io::XdpShape& shape) {
  std::vector<io::UniqueFd> fds;
  for (std::uint32_t queue = 0; queue < std::clamp(link.queues, 1U, kMostQueues); ++queue) {
    auto socket = io::open_xdp_socket(link.index, queue, shape);
    // An interface may have fewer queues than it could have: those that are not there stay with the kernel.
    if (!socket && queue > 0) break;
    if (!socket) return std::unexpected(socket.error());
    if (socket->busy) {
      try_again_soon();  // the last engine's sockets take a moment to go
      return fail(std::string(kBusy));
    }
    if (auto set = diversion.set_socket(queue, socket->socket.get()); !set) return std::unexpected(set.error());
    fds.push_back(std::move(socket->socket));
    fds.push_back(std::move(socket->memory));
  }
  return fds;
}

void EspPath::detach(int device) {
  const auto it = interfaces_.find(device);
  log_.info("network", "plain ESP on " + it->second.link.name + " goes by sockets again");
  interfaces_.erase(it);
  tell_(EspInterfaceGone{static_cast<std::uint32_t>(device)}, {});
}

void EspPath::try_again_soon() {
  if (trying_ || ++tries_ > kMostTries) return;
  trying_ = true;
  loop_.after(kUntilNextTry, [this] {
    trying_ = false;
    resolve_all();
  });
}

}  // namespace cygnet::daemon
