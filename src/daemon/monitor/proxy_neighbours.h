// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses behind our devices that lie in a network this machine is attached to: it answers ARP (RFC 1027) and
// neighbour solicitations (RFC 4389) for them there, so that the neighbours find them as if they were on the cable.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/monitor/local_networks.h"
#include "io/rtnetlink.h"

namespace cygnet::daemon {

class ProxyNeighbours {
 public:
  // switches: where the names of devices are kept whose proxy_ndp was turned on, for take_back_earlier().
  ProxyNeighbours(io::RouteSocket& netlink, std::string switches, Logger& log)
      : netlink_(netlink), switches_path_(std::move(switches)), log_(log) {}

  // What a killed monitor left.
  static void take_back_earlier(io::RouteSocket& netlink, const std::string& switches);

  void want(const IpAddress& address);
  void stop_wanting(const IpAddress& address);
  void on_networks(std::vector<AttachedNetwork> attached);
  void close();

 private:
  void place(const IpAddress& address);
  void displace(const IpAddress& address);
  void turn_proxy_ndp_on(int device);

  io::RouteSocket& netlink_;
  std::string switches_path_;
  Logger& log_;
  std::vector<AttachedNetwork> attached_;
  std::map<IpAddress, std::optional<int>> wanted_;  // and the device that answers
  std::set<std::string> switched_;
};

}  // namespace cygnet::daemon
