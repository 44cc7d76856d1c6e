// SPDX-License-Identifier: Apache-2.0
// Networks on a link without an address of this machine in them: routed containers, unnumbered links, interfaces of
// other tunnels. Nobody but the administrator can say whether they belong into a tunnel that covers them; that they go
// there is told.
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/monitor/network.h"
#include "io/clock.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kBetweenLooks = std::chrono::seconds(5);
constexpr int kTimesTheirCost = 100;  // as long as that it waits after one that took long
constexpr std::size_t kMostTold = 1000;

}  // namespace

// What the longest prefix of our table says that contains it.
bool Network::is_covered_link(const io::Route& route) const {
  const auto& to = route.destination;
  const bool link = route.kind == io::Route::Kind::kUnicast && !route.gateway && !route.indirect && route.device != 0 &&
                    !is_ours(route.device);
  if (!link || to.length == 0 || to.address.is_loopback() || to.address.is_multicast() || to.address.is_link_local())
    return false;
  // Its own tunnel is no tunnel that it got into unawares.
  if (tunnelled_.contains(to) || ike_lets_in(to)) return false;
  const auto is_its = [&](const AttachedNetwork& one) { return one.prefix.contains(to.address); };
  if (std::ranges::any_of(attached_, is_its)) return false;
  for (IpPrefix wider = to;; --wider.length) {
    wider.address = wider.network();
    if (tunnelled_.contains(wider)) return true;
    if (thrown_.contains(wider) || refused_.contains(wider) || wider.length == 0) return false;
  }
}

void Network::look_for_covered_links(Instant now) {
  if (!links_unsure_ || !opened_ || now < next_look_at_links_) return;
  const auto begun = io::SystemClock::now();
  links_unsure_ = false;
  std::vector<io::Route> found;
  for (const auto family : {Family::kV4, Family::kV6}) {
    if (tunnelled_.empty()) break;
    // Not those that a LAN hands out (RTPROT_DHCP, RTPROT_RA), nor those of routing daemons, which have gateways.
    for (const auto protocol : std::array<std::uint8_t, 3>{RTPROT_KERNEL, RTPROT_BOOT, RTPROT_STATIC}) {
      const auto routes = netlink_[0].routes_by(protocol, family, RT_TABLE_MAIN);
      if (!routes) continue;
      std::ranges::copy_if(*routes, std::back_inserter(found), [&](const auto& r) { return is_covered_link(r); });
    }
  }
  const auto links = found.empty() ? Result<std::vector<io::Link>>{} : netlink_[0].links();
  std::set<CoveredLinks::Network> covered;
  for (const auto& route : found) {
    const auto link = links ? std::ranges::find(*links, route.device, &io::Link::index) : links->end();
    if (!links || link == links->end() || covered.size() >= kMostCoveredLinks) continue;
    covered.insert({route.destination, link->name});
  }
  covered_links_.assign(covered.begin(), covered.end());
  for (const auto& [prefix, device] : covered_links_) {
    if (covered_told_.size() >= kMostTold || !covered_told_.insert(prefix).second) continue;
    log_.notice("network", prefix.to_string() + " (" + device +
                               ") is on a link, and no address of this machine lies in it: its hosts are reached "
                               "through the tunnel that covers it or not at all. To leave it outside: ip rule add to " +
                               prefix.to_string() + " lookup main priority " +
                               std::to_string(setup_.rule_priority / 2));
  }
  next_look_at_links_ = now + std::max(kBetweenLooks, kTimesTheirCost * (io::SystemClock::now() - begun));
}

}  // namespace cygnet::daemon
