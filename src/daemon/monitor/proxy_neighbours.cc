// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/proxy_neighbours.h"

#include <algorithm>
#include <fstream>

#include "io/process.h"

namespace cygnet::daemon {

namespace {

std::string switch_of(const std::string& device) { return "/proc/sys/net/ipv6/conf/" + device + "/proxy_ndp"; }

bool write_switch(const std::string& device, char value) {
  std::ofstream file(switch_of(device));
  file << value;
  file.close();
  return !file.fail();
}

}  // namespace

void ProxyNeighbours::take_back_earlier(io::RouteSocket& netlink, const std::string& switches) {
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto left = netlink.our_proxies(family);
    for (const auto& proxy : left ? *left : std::vector<io::ProxyNeighbour>{}) (void)netlink.remove_proxy(proxy);
  }
  std::ifstream file(switches);
  for (std::string device; file >> device;) (void)write_switch(device, '0');
  io::remove_file(switches);
}

void ProxyNeighbours::want(const IpAddress& address) {
  if (wanted_.try_emplace(address).second) place(address);
}

void ProxyNeighbours::stop_wanting(const IpAddress& address) {
  displace(address);
  wanted_.erase(address);
}

void ProxyNeighbours::place(const IpAddress& address) {
  const AttachedNetwork* best = nullptr;
  for (const auto& network : attached_) {
    if (network.prefix.contains(address) && (best == nullptr || network.prefix.length > best->prefix.length))
      best = &network;
  }
  auto& answering = wanted_[address];
  if (best != nullptr && answering == best->device) return;
  displace(address);
  if (best == nullptr) return;
  if (address.is_v6()) turn_proxy_ndp_on(best->device);
  if (auto added = netlink_.add_proxy({best->device, address}); !added) {
    log_.warning("network", added.error().message + " in " + best->prefix.to_string() +
                                ": its hosts do not find the peer with this address");
    return;
  }
  answering = best->device;
}

void ProxyNeighbours::displace(const IpAddress& address) {
  const auto it = wanted_.find(address);
  if (it == wanted_.end() || !it->second) return;
  (void)netlink_.remove_proxy({*it->second, address});
  it->second.reset();
}

// Off by default, and without it the kernel does not look at the list.
void ProxyNeighbours::turn_proxy_ndp_on(int device) {
  const auto links = netlink_.links();
  const auto link =
      links ? std::ranges::find(*links, device, &io::Link::index) : std::vector<io::Link>::const_iterator{};
  if (!links || link == links->end() || switched_.contains(link->name)) return;
  std::ifstream file(switch_of(link->name));
  char now = '0';
  if (!(file >> now) || now != '0') return;
  std::string names;
  switched_.insert(link->name);
  for (const auto& name : switched_) names += name + '\n';
  if (auto kept = io::replace_file(switches_path_, names, 0600); !kept) log_.warning("network", kept.error().message);
  if (!write_switch(link->name, '1')) {
    log_.warning("network", "cannot turn " + switch_of(link->name) + " on: IPv6 neighbours do not find the peers");
  }
}

void ProxyNeighbours::on_networks(std::vector<AttachedNetwork> attached) {
  attached_ = std::move(attached);
  for (const auto& [address, device] : wanted_) place(address);
}

void ProxyNeighbours::close() {
  for (const auto& [address, device] : wanted_) displace(address);
  wanted_.clear();
  for (const auto& name : switched_) (void)write_switch(name, '0');
  if (!switched_.empty()) io::remove_file(switches_path_);
  switched_.clear();
}

}  // namespace cygnet::daemon
