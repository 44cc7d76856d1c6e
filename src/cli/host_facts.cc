// SPDX-License-Identifier: Apache-2.0
#include "cli/host_facts.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "io/fd.h"
#include "io/routing_rules.h"
#include "io/rtnetlink.h"

namespace cygnet::cli {
namespace {

std::string read_text(const std::string& path) {
  const std::ifstream in(path);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  return text.str();
}

// -1: there is no such setting.
int read_sysctl(const std::string& name) {
  std::ifstream in("/proc/sys/net/" + name);
  int value = -1;
  return in >> value ? value : -1;
}

std::string link_target(const std::string& path) {
  std::array<char, 256> target{};
  const auto n = ::readlink(path.c_str(), target.data(), target.size() - 1);
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
}

void look_at_tun(HostFacts& facts) {
  const io::UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  facts.tun_present = static_cast<bool>(tun);
  if (!tun) facts.tun_error = std::strerror(errno);
}

void look_at_processes(const control::DoctorFacts& daemon, HostFacts& facts) {
  for (const auto& process : daemon.processes) {
    if (process.pid <= 0) continue;
    if (::kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH) facts.dead_pids.push_back(process.pid);
    const auto theirs = link_target("/proc/" + std::to_string(process.pid) + "/ns/net");
    if (!theirs.empty() && theirs != link_target("/proc/self/ns/net")) facts.same_network_namespace = false;
  }
}

void look_at_links(const control::DoctorFacts& daemon, io::RouteSocket& routes, HostFacts& facts) {
  const auto links = routes.links();
  for (const auto& name : daemon.devices) {
    HostFacts::Device device{name, false, false, 0, read_sysctl("ipv4/conf/" + name + "/rp_filter")};
    if (links) {
      for (const auto& link : *links) {
        if (link.name == name) device = {name, true, link.up, link.mtu, device.rp_filter};
      }
    }
    facts.devices.push_back(std::move(device));
  }
  if (const auto addresses = routes.addresses()) {
    for (const auto& address : *addresses) facts.own_addresses.push_back(address.prefix.address);
  }
}

void look_at_routes(const control::DoctorFacts& daemon, io::RouteSocket& socket, HostFacts& facts) {
  facts.routes_known = true;
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto routes = socket.routes(family, daemon.route_table);
    const auto rules = socket.mark_rules(family);
    if (!routes || !rules) {
      facts.routes_known = false;
      continue;
    }
    for (const auto& route : *routes) {
      if (route.kind == io::Route::Kind::kUnicast) facts.routes.push_back(route.destination.to_string());
    }
    const bool ours = std::any_of(rules->begin(), rules->end(),
                                  [&](const io::MarkRule& rule) { return rule.table == daemon.route_table; });
    if (ours) facts.rules.push_back(family);
    auto first = daemon.rule_priority;
    for (const auto& rule : *rules) {
      if (rule.table == daemon.route_table) first = std::min(first, rule.priority);
    }
    const auto others = io::routing_rules(family);
    for (const auto& rule : others ? *others : std::vector<io::RoutingRule>{}) {
      if (rule.priority < first && rule.table != daemon.route_table)
        facts.rules_before.push_back(std::to_string(rule.priority) + ": " + rule.text);
    }
  }
}

// The firewall's own tool tells what is configured; without root or without nft there is nothing to say.
std::string nft_ruleset() {
  static constexpr std::size_t kMax = 4UL * 1024 * 1024;
  // NOLINTNEXTLINE(cert-env33-c): the command is a constant; nothing of the user's or the daemon's is in it.
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen("nft list ruleset 2>/dev/null", "r"), ::pclose);
  std::string text;
  if (!pipe) return text;
  std::array<char, 4096> buffer;
  while (text.size() < kMax) {
    const auto n = std::fread(buffer.data(), 1, buffer.size(), pipe.get());
    if (n == 0) break;
    text.append(buffer.data(), n);
  }
  return text;
}

}  // namespace

// Lines of /proc/net/udp: "  12: 00000000:01F4 00000000:0000 07 …"; the local port is hexadecimal.
std::vector<std::uint16_t> udp_ports_in(const std::string& proc_net_udp) {
  std::vector<std::uint16_t> ports;
  std::istringstream lines(proc_net_udp);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string number, local;
    if (!(words >> number >> local) || !number.ends_with(':')) continue;
    const auto colon = local.rfind(':');
    if (colon == std::string::npos) continue;
    std::uint16_t port = 0;
    const auto* end = local.data() + local.size();
    const auto [at, error] = std::from_chars(local.data() + colon + 1, end, port, 16);
    if (error == std::errc{} && at == end) ports.push_back(port);
  }
  return ports;
}

// In /proc/net/raw the "port" is the protocol: 0x32 is ESP.
bool has_esp_socket(const std::string& proc_net_raw) {
  const auto protocols = udp_ports_in(proc_net_raw);
  return std::find(protocols.begin(), protocols.end(), 50) != protocols.end();
}

std::string firewall_hint_of(const std::string& ruleset, std::uint16_t ike_port, std::uint16_t nat_port) {
  std::istringstream lines(ruleset);
  std::string line;
  bool drops_by_default = false;
  while (std::getline(lines, line)) {
    if (line.find("hook input") != std::string::npos && line.find("policy drop") != std::string::npos)
      drops_by_default = true;
  }
  const auto mentions = [&](std::uint16_t port) { return ruleset.find(std::to_string(port)) != std::string::npos; };
  if (!drops_by_default || (mentions(ike_port) && mentions(nat_port)) || ruleset.find("isakmp") != std::string::npos)
    return {};
  return "nftables drops incoming packets by default, and no rule names UDP " + std::to_string(ike_port) + " and " +
         std::to_string(nat_port);
}

HostFacts gather_host_facts(const std::optional<control::DoctorFacts>& daemon) {
  HostFacts facts;
  look_at_tun(facts);
  if (!daemon) return facts;
  look_at_processes(*daemon, facts);
  facts.rp_filter_all = read_sysctl("ipv4/conf/all/rp_filter");
  facts.src_valid_mark = read_sysctl("ipv4/conf/all/src_valid_mark");
  facts.forward_v4 = read_sysctl("ipv4/ip_forward");
  facts.forward_v6 = read_sysctl("ipv6/conf/all/forwarding");
  if (!facts.same_network_namespace) return facts;
  if (auto routes = io::RouteSocket::open()) {
    look_at_links(*daemon, *routes, facts);
    look_at_routes(*daemon, *routes, facts);
  }
  facts.udp_ports = udp_ports_in(read_text("/proc/net/udp") + read_text("/proc/net/udp6"));
  facts.esp_socket = has_esp_socket(read_text("/proc/net/raw") + read_text("/proc/net/raw6"));
  facts.ports_known = true;
  facts.xfrm_counters = xfrm_counters_in(read_text("/proc/net/xfrm_stat"));
  facts.pfkey_backlog = pfkey_backlog_in(read_text("/proc/net/pfkey"));
  facts.firewall_hint = firewall_hint_of(nft_ruleset(), daemon->ike_port, daemon->nat_port);
  return facts;
}

}  // namespace cygnet::cli
