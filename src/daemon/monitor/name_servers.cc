// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/name_servers.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMostLines = 1000;
constexpr std::array<std::string_view, 2> kResolved{"127.0.0.53", "127.0.0.54"};  // where systemd-resolved is asked

// resolv.conf(5): `nameserver ADDRESS`, an IPv6 address perhaps with its zone, which the kernel finds by itself.
std::optional<std::vector<IpAddress>> servers_in(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::vector<IpAddress> out;
  std::string line;
  for (std::size_t i = 0; i < kMostLines && std::getline(file, line); ++i) {
    std::istringstream words(line);
    std::string word;
    std::string address;
    if (!(words >> word >> address) || word != "nameserver") continue;
    if (const auto parsed = IpAddress::parse(address.substr(0, address.find('%')))) out.push_back(*parsed);
  }
  return out;
}

}  // namespace

NameServers name_servers(const NameServerPaths& paths) {
  NameServers out;
  std::error_code error;
  out.by_others = std::filesystem::exists(paths.nscd_socket, error);
  const auto add = [&](const std::vector<IpAddress>& servers) {
    for (const auto& server : servers) {
      if (!server.is_loopback() && !server.is_unspecified() && out.list.size() < NameServers::kMost)
        out.list.insert(server);
    }
  };
  const auto resolved = servers_in(paths.resolved_dir + "/resolv.conf");
  if (resolved) {
    add(*resolved);
    out.by_others = true;
  }
  // Without any, the C library asks this machine.
  const auto own = servers_in(paths.resolv_conf).value_or(std::vector<IpAddress>{});
  add(own);
  bool local = own.empty();
  for (const auto& server : own) {
    const bool is_resolved = resolved && std::ranges::find(kResolved, server.to_string()) != kResolved.end();
    local = local || ((server.is_loopback() || server.is_unspecified()) && !is_resolved);
  }
  if (local) {
    out.anybody = true;
    out.by_others = true;
  }
  return out;
}

}  // namespace cygnet::daemon
