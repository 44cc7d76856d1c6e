// SPDX-License-Identifier: Apache-2.0
// XFRM interfaces (ipsec-interface=): made for the kernel's IPsec beside our own TUN devices, kept when the monitor is
// killed as those are, and taken back at the end. One that an administrator made is used and left alone.
#include <algorithm>
#include <fstream>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

namespace {

// As that of our TUN devices: the kernel knows each path more exactly.
constexpr std::uint32_t kInterfaceMtu = 1400;
constexpr std::uint32_t kMainTable = 254;

std::string ipv6_switch_of(const std::string& device) { return "net/ipv6/conf/" + device + "/disable_ipv6"; }

// Nothing: there is no such switch, as in a kernel without IPv6.
std::optional<bool> is_off(const std::string& setting) {
  std::ifstream file("/proc/sys/" + setting);
  char now = '0';
  return file >> now ? std::optional(now != '0') : std::nullopt;
}

}  // namespace

std::vector<std::string> Network::device_names() const { return daemon::device_names(setup_); }

bool Network::is_ours(int index) const {
  return std::ranges::any_of(devices_, [&](const auto& each) { return each.index == index; }) ||
         std::ranges::any_of(interfaces_, [&](const auto& each) { return each.index == index; });
}

int Network::index_of(const std::string& device) const {
  for (const auto& each : devices_) {
    if (each.name == device) return each.index;
  }
  for (const auto& each : interfaces_) {
    if (each.is.name == device) return each.index;
  }
  return 0;
}

std::string Network::device_name(int index) const {
  for (const auto& each : devices_) {
    if (each.index == index) return each.name;
  }
  const auto it = std::ranges::find(interfaces_, index, &Interface::index);
  return it == interfaces_.end() ? "" : it->is.name;
}

void Network::want_ipv6(int device) {
  const auto name = device_name(device);
  if (name.empty() || foreign(device) != nullptr) return;
  const auto setting = ipv6_switch_of(name);
  if (is_off(setting) != true) return;
  std::ofstream("/proc/sys/" + setting) << '0' << std::flush;
  if (is_off(setting) == true) return;
  log_.notice("network", name + " had no IPv6 (" + setting +
                             " was 1, as net.ipv6.conf.default.disable_ipv6 makes it): a tunnel needs it, so it is "
                             "switched on for this device");
}

bool Network::is_without_ipv6(int device) const {
  const auto all = is_off(ipv6_switch_of("all"));
  return !all || (*all && is_off(ipv6_switch_of(device_name(device))) == true);
}

Result<void> Network::open_interfaces(const std::vector<std::string>& earlier) {
  for (const auto& wanted : setup_.interfaces) {
    auto made = open_interface(wanted, std::ranges::find(earlier, wanted.name) != earlier.end());
    if (!made) return std::unexpected(made.error());
    interfaces_.push_back(std::move(*made));
  }
  return {};
}

// earlier: an earlier monitor of ours made it.
Result<Network::Interface> Network::open_interface(const model::XfrmInterface& wanted, bool earlier) {
  auto& netlink = netlink_[0];
  auto links = netlink.links();
  if (!links) return std::unexpected(links.error());
  const auto find = [&] { return std::ranges::find(*links, wanted.name, &io::Link::name); };
  auto there = find();
  const bool fits = there != links->end() && there->kind == "xfrm" && there->xfrm_id == wanted.id;
  if (there != links->end() && !fits) {
    if (!earlier) {
      return fail("ipsec-interface=" + std::to_string(wanted.id) + ": there is a device " + wanted.name +
                  " already, which is no XFRM interface with if_id " + std::to_string(wanted.id) +
                  ": remove it (ip link delete " + wanted.name + ") or write another number");
    }
    (void)netlink.remove_link(there->index);
  }
  if (!fits) {
    if (!netlink.has_xfrm_interfaces()) {
      return fail("ipsec-interface=" + std::to_string(wanted.id) +
                  ": this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE)");
    }
    if (auto made = netlink.add_xfrm_interface(wanted.name, wanted.id); !made) return std::unexpected(made.error());
    links = netlink.links();
    if (!links) return std::unexpected(links.error());
    there = find();
    if (there == links->end()) return fail("the XFRM interface " + wanted.name + " was made and is not there");
  }
  const Interface out{wanted, there->index, earlier || !fits};
  if (out.made) {
    std::erase_if(guests_, [&](const Guest& guest) { return guest.first == wanted.name; });
    // Without IPv6 in the kernel there is nothing to turn off.
    (void)netlink.no_link_local_address(out.index);
  }
  keep_routes_of(out);
  if (auto up = netlink.set_up(out.index, out.made ? kInterfaceMtu : 0); !up) {
    if (!fits) (void)netlink.remove_link(out.index);
    return fail(wanted.name + ": " + up.error().message);
  }
  return out;
}

const Network::Interface* Network::foreign(int index) const {
  const auto it = std::ranges::find(interfaces_, index, &Interface::index);
  return it == interfaces_.end() || it->made ? nullptr : &*it;
}

// Told to the file before it is set: a kill in between leaves nothing unknown. What is there already is somebody
// else's.
void Network::add_guest(const Interface& interface, const IpAddress& address) {
  const Guest guest{interface.is.name, address};
  if (guests_.contains(guest)) return;
  const auto there = netlink_[0].addresses();
  for (const auto& one : there ? *there : std::vector<io::InterfaceAddress>{}) {
    if (one.index == interface.index && one.prefix.address == address) return;
  }
  guests_.insert(guest);
  if (auto kept = write_state(); !kept)
    log_.warning("network", kept.error().message + ": if cygnetd is killed, " + address.to_string() + " stays on " +
                                interface.is.name);
}

void Network::keep_routes_of(const Interface& interface) {
  const Guest guest{interface.is.name, io::kKeepsRoutes};
  const bool known = interface.made || guests_.contains(guest);
  if (!known) add_guest(interface, io::kKeepsRoutes);
  const auto kept = netlink_[0].keep_routes(interface.index);
  if (!kept)
    unmet_.add("the address that keeps the routes of " + interface.is.name,
               interface.is.name + ": " + kept.error().message);
  if (!known && !kept.value_or(false)) guests_.erase(guest);
}

void Network::remove_guests(const std::set<Guest>& guests) {
  if (guests.empty()) return;
  const auto links = netlink_[0].links();
  if (!links) return take_back(std::unexpected(links.error()));
  // The address that keeps the routes goes last.
  for (const bool keeper : {false, true}) {
    for (const auto& [name, address] : guests) {
      const auto link = std::ranges::find(*links, name, &io::Link::name);
      if (link == links->end() || (address == io::kKeepsRoutes) != keeper) continue;
      take_back(keeper ? stop_keeping_routes(name, link->index) : netlink_[0].remove_address(link->index, address));
    }
  }
}

// With the last IPv4 address the administrator's routes would go as well.
Result<void> Network::stop_keeping_routes(const std::string& name, int index) {
  const auto addresses = netlink_[0].addresses();
  const auto routes = netlink_[0].routes(Family::kV4, kMainTable);
  if (!addresses) return std::unexpected(addresses.error());
  if (!routes) return std::unexpected(routes.error());
  const bool other = std::ranges::any_of(
      *addresses, [&](const auto& one) { return one.index == index && one.prefix.address.is_v4(); });
  const auto route = std::ranges::find(*routes, index, &io::Route::device);
  if (!other && route != routes->end()) {
    const auto ip = io::kKeepsRoutes.to_string();
    log_.notice("network", name + " keeps the address " + ip + ": with its last one the kernel would take its route " +
                               route->destination.to_string() + ", which is not ours. Give it another address, then: " +
                               "ip address delete " + ip + "/32 dev " + name);
    return {};
  }
  return netlink_[0].stop_keeping_routes(index);
}

void Network::remove_interfaces() {
  for (const auto& each : interfaces_) {
    if (each.made) take_back(netlink_[0].remove_link(each.index));
  }
  remove_guests(std::exchange(guests_, {}));
  interfaces_.clear();
}

void Network::repair_interfaces(const std::vector<io::Link>& links) {
  for (auto& each : interfaces_) {
    const auto link = std::ranges::find(links, each.index, &io::Link::index);
    if (link != links.end()) {
      if (!link->up) put_up_again(each.is.name, each.index);
      continue;
    }
    const auto name = "the XFRM interface " + each.is.name;
    if (!unmet_.was(name)) log_.error("network", name + " was deleted: making it anew");
    auto fresh = open_interface(each.is, false);
    if (!fresh) {
      unmet_.add(name, fresh.error().message);
      continue;
    }
    const int old = std::exchange(each, std::move(*fresh)).index;
    renumber(old, each.index);
    if (auto kept = write_state(); !kept) log_.warning("network", kept.error().message);
  }
}

}  // namespace cygnet::daemon
