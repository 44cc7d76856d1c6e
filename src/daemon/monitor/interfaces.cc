// SPDX-License-Identifier: Apache-2.0
// XFRM interfaces (ipsec-interface=): made for the kernel's IPsec beside our own TUN devices, kept when the monitor is
// killed as those are, and taken back at the end. One that an administrator made is used and left alone.
#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

namespace {

// As that of our TUN devices: the kernel knows each path more exactly.
constexpr std::uint32_t kInterfaceMtu = 1400;

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
  // Without IPv6 in the kernel there is nothing to turn off.
  if (out.made) (void)netlink.no_link_local_address(out.index);
  if (auto kept = netlink.keep_routes(out.index); !kept)
    log_.warning("network", wanted.name + ": " + kept.error().message);
  if (auto up = netlink.set_up(out.index, out.made ? kInterfaceMtu : 0); !up) {
    if (!fits) (void)netlink.remove_link(out.index);
    return fail(wanted.name + ": " + up.error().message);
  }
  return out;
}

void Network::remove_interfaces() {
  for (const auto& each : interfaces_) {
    if (each.made) (void)netlink_[0].remove_link(each.index);
  }
  interfaces_.clear();
}

void Network::repair_interfaces(const std::vector<io::Link>& links) {
  for (auto& each : interfaces_) {
    const auto link = std::ranges::find(links, each.index, &io::Link::index);
    if (link != links.end()) {
      if (!link->up) put_up_again(each.is.name, each.index);
      continue;
    }
    log_.error("network", "the XFRM interface " + each.is.name + " was deleted: making it anew");
    auto fresh = open_interface(each.is, false);
    if (!fresh) {
      log_.error("network", fresh.error().message);
      continue;
    }
    const int old = std::exchange(each, std::move(*fresh)).index;
    renumber(old, each.index);
    if (auto kept = write_state(); !kept) log_.warning("network", kept.error().message);
  }
}

}  // namespace cygnet::daemon
