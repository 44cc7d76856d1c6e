// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/network.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "daemon/pool_prefixes.h"
#include "io/process.h"
#include "io/xfrm_socket.h"
#include "model/address_pool.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kOurRouteProtocol = 89;  // see io/rtnetlink.cc
// Leaves room for the largest overhead of any SA below an Ethernet's 1500; the engine knows each path more exactly and
// tells senders by ICMP.
constexpr std::uint32_t kDeviceMtu = 1400;
constexpr int kDeviceAttempts = 30;
constexpr auto kDevicePause = std::chrono::milliseconds(100);

// A device that nobody holds open has no carrier; its routes must go on leading into it all the same. What hinders
// that, by the name of the setting.
std::string why_not_without_carrier(const std::string& device) {
  const auto setting = [](const std::string& family, const std::string& whose) {
    return "net/" + family + "/conf/" + whose + "/ignore_routes_with_linkdown";
  };
  const auto is_on = [](const std::string& name) {
    std::ifstream file("/proc/sys/" + name);
    char now = '0';
    return file >> now && now != '0';
  };
  for (const char* family : {"ipv4", "ipv6"}) {
    const auto own = setting(family, device);
    if (!is_on(own)) continue;
    std::ofstream("/proc/sys/" + own) << '0' << std::flush;
    if (is_on(own)) return own;
  }
  // Since Linux 5.11 this one counts for each device; it is the administrator's.
  const auto all = setting("ipv4", "all");
  return is_on(all) ? all : "";
}

}  // namespace

Network::Network(model::Setup setup, std::string state_path, Logger& log, model::EngineThreads threads,
                 const EnginePlan& plan)
    : setup_(std::move(setup)),
      threads_(daemon::engine_threads(threads)),
      wanted_threads_(std::move(threads)),
      state_path_(std::move(state_path)),
      log_(log),
      kernel_(!plan.user),
      both_(plan.both()),
      gate_({.devices = daemon::device_names(setup_),
             .ike_port = setup_.ike_port,
             .nat_port = setup_.nat_port,
             .route_table = setup_.route_table,
             .fwmark = setup_.fwmark,
             .kernel = !plan.user,
             .beside_kernel = plan.both()},
            log) {}

NetworkBounds bounds_of(const model::Connection& connection) {
  NetworkBounds out;
  // Which of the two ends is ours is not known here: they are not oriented yet.
  for (const auto* end : {&connection.local, &connection.remote}) {
    for (const auto& ip : end->source_ips) out.addresses.push_back(IpRange::of(ip));
    out.assigned_addresses = out.assigned_addresses || end->requests_address();
    for (const auto& pool : end->pools) {
      for (const auto& prefix : pool_prefixes(pool)) out.pools.push_back(IpRange::of(prefix));
    }
    if (!connection.proxy_arp) continue;
    for (const auto& pool : end->pools) out.proxied.push_back(pool.range);
  }
  out.covered = covered_by(connection);
  for (const auto& child : connection.children) {
    if (!connection.proxy_arp) break;
    for (const auto* side : {&child.local, &child.remote}) {
      for (const auto& selector : *side) out.proxied.push_back(selector.range);
    }
  }
  return out;
}

Result<void> Network::open() {
  auto opened = open_all();
  if (!opened) remove_interfaces();
  return opened;
}

Result<void> Network::open_all() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  netlink_.push_back(std::move(*netlink));
  if (auto ok = open_sockets(); !ok) {
    return ok;
  }
  clean_up_earlier(true);
  proxies_.emplace(netlink_[0], proxy_switches_path(), log_);
  if (auto ok = open_devices(); !ok) {
    return ok;
  }
  taking_over_.clear();
  if (auto ok = write_state(); !ok) return ok;
  opened_ = true;
  for (const auto& device : devices_) {
    if (auto kept = io::keep_tun(device, true); !kept) {
      log_.warning("network", kept.error().message + ": if the monitor is killed, packets leave in the clear");
    }
  }
  take_over_routes();
  on_network_changed();
  if (auto added = add_rules(); !added) return added;
  gate_.open();
  return {};
}

Result<void> Network::write_state() const {
  std::ostringstream state;
  state << setup_.route_table << ' ' << setup_.rule_priority << ' ' << setup_.fwmark;
  for (const auto& device : devices_) state << ' ' << device.name;
  for (const auto& each : interfaces_) {
    if (each.made) state << ' ' << each.is.name;
  }
  for (const auto& name : taking_over_) state << ' ' << name;
  // No device has a slash in its name.
  for (const auto& [name, address] : guests_) state << ' ' << name << '/' << address.to_string();
  return io::replace_file(state_path_, state.str() + '\n', 0600);
}

Result<void> Network::clean_up() {
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  netlink_.push_back(std::move(*netlink));
  clean_up_earlier(false);
  if (left_behind_) return fail("not everything could be taken back: see the lines above, and try it again");
  io::remove_file(state_path_);
  return {};
}

void Network::take_back(const Result<void>& done) {
  if (done) return;
  left_behind_ = true;
  log_.warning("network", done.error().message + ": it stays behind. `cygnetd --clean-up` tries it again");
}

Result<io::TunDevice> Network::open_device(const std::string& name, bool earlier) {
  auto device = io::open_tun(name, threads_ > 1, earlier);
  // The processes of a killed monitor die with it, but not before it.
  for (int attempt = 0; !device && earlier && attempt < kDeviceAttempts; ++attempt) {
    std::this_thread::sleep_for(kDevicePause);
    device = io::open_tun(name, threads_ > 1, earlier);
  }
  if (!device && earlier) {
    // Kept by one of another version, which made it otherwise.
    remove_device(name);
    device = io::open_tun(name, threads_ > 1, earlier);
  }
  if (!device) {
    return device;
  }
  // Without IPv6 in the kernel there is nothing to turn off.
  (void)netlink_[0].no_link_local_address(device->index);
  if (auto up = netlink_[0].set_up(device->index, kDeviceMtu); !up) {
    return fail(name + ": " + up.error().message);
  }
  if (auto kept = netlink_[0].keep_routes(device->index); !kept)
    log_.warning("network", name + ": " + kept.error().message);
  if (const auto setting = why_not_without_carrier(name); !setting.empty()) {
    log_.warning("network", setting +
                                " is 1: if cygnetd is killed, packets for its tunnels leave in the clear. Set it "
                                "to 0, and to 1 for the devices that it is meant for");
  }
  return device;
}

Result<void> Network::open_devices() {
  const auto earlier = read_earlier();
  if (earlier) taking_over_ = earlier->devices;
  for (const auto& name : setup_.devices) {
    auto device = open_device(name, earlier && std::ranges::find(earlier->devices, name) != earlier->devices.end());
    if (!device) {
      return std::unexpected(device.error());
    }
    devices_.push_back(std::move(*device));
  }
  if (auto made = open_interfaces(earlier ? earlier->devices : std::vector<std::string>{}); !made) return made;
  auto workers =
      open_worker_queues(setup_.fwmark, threads_, devices_, engine_sockets(), both_ ? model::kKernelSpiBit : 0);
  if (!workers) {
    return std::unexpected(workers.error());
  }
  workers_ = std::move(*workers);
  return both_ ? open_kernel_sockets() : Result<void>{};
}

Result<void> Network::open_kernel_sockets() {
  const auto sockets = engine_sockets();
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    // No policy of the kernel's is for what our own engine has sealed, or will open.
    if (auto passed = io::bypass_policies(sockets[i]->fd.get(), sockets[i]->family); !passed) return passed;
    for (const auto& worker : workers_) {
      if (auto passed = io::bypass_policies(worker.sockets[i].get(), sockets[i]->family); !passed) return passed;
    }
    if (sockets[i]->kind != io::OuterKind::kUdp) continue;
    // After ours: the filter counts them in this order.
    auto kernels = io::open_udp(sockets[i]->family, setup_.nat_port, setup_.fwmark, true, true);
    if (!kernels) return std::unexpected(kernels.error());
    if (auto parted = io::part_by_spi(*kernels, threads_, model::kKernelSpiBit); !parted) return parted;
    io::take_single_datagrams(sockets[i]->fd.get());
    for (const auto& worker : workers_) io::take_single_datagrams(worker.sockets[i].get());
    kernel_sockets_.push_back(std::move(*kernels));
  }
  return {};
}

std::vector<const io::OuterSocket*> Network::engine_sockets() const {
  std::vector<const io::OuterSocket*> found;
  for (const auto& socket : sockets_) {
    if (socket.kind != io::OuterKind::kUdp || socket.port != setup_.ike_port) {
      found.push_back(&socket);
    }
  }
  return found;
}

void Network::open_optional_socket(Result<io::OuterSocket> socket) {
  if (socket) {
    sockets_.push_back(std::move(*socket));
  } else {
    log_.warning("network", socket.error().message);
  }
}

Result<void> Network::open_sockets() {
  for (const auto family : {Family::kV4, Family::kV6}) {
    for (const bool encapsulation : {false, true}) {
      const auto port = encapsulation ? setup_.nat_port : setup_.ike_port;
      const bool several = encapsulation && (threads_ > 1 || both_);
      const auto free = several ? expect_free_port(family, port) : Result<void>{};
      auto socket = free ? io::open_udp(family, port, setup_.fwmark, encapsulation, several)
                         : Result<io::OuterSocket>(std::unexpected(free.error()));
      if (!socket && family == Family::kV6 && socket.error().message.find("has no IPv6") != std::string::npos) {
        log_.notice("network", socket.error().message);
        return {};
      }
      if (!socket) {
        return std::unexpected(socket.error());
      }
      sockets_.push_back(std::move(*socket));
    }
    // Nobody would read them.
    if (kernel_) continue;
    // Where a container may not have raw sockets, ESP in UDP still works.
    open_optional_socket(io::open_esp(family, setup_.fwmark));
    open_optional_socket(io::open_ah(family, setup_.fwmark));
    open_optional_socket(io::open_clear(family, setup_.fwmark));
  }
  return {};
}

void Network::remove_ours(std::uint32_t table, std::uint32_t priority, std::uint32_t mark) {
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto rules = netlink_[0].mark_rules(family);
    for (const auto& rule : rules ? *rules : std::vector<io::MarkRule>{}) {
      if (rule.table == table && rule.priority <= priority && rule.mark == mark) {
        take_back(netlink_[0].remove_rule(rule));
      }
    }
    const auto questions = netlink_[0].question_rules(family);
    for (const auto& rule : questions ? *questions : std::vector<io::QuestionRule>{}) {
      if (rule.mark == mark && rule.priority < priority) take_back(netlink_[0].remove_rule(rule));
    }
    const auto routes = netlink_[0].routes(family, table);
    for (const auto& route : routes ? *routes : std::vector<io::Route>{}) {
      if (route.protocol == kOurRouteProtocol) {
        take_back(netlink_[0].remove_route(route));
      }
    }
  }
}

std::optional<Network::Earlier> Network::read_earlier() const {
  std::ifstream file(state_path_);
  Earlier out;
  if (!(file >> out.table >> out.priority >> out.mark)) return std::nullopt;
  for (std::string word; file >> word;) {
    const auto slash = word.find('/');
    const auto address = slash == std::string::npos ? std::nullopt : IpAddress::parse(word.substr(slash + 1));
    if (address) {
      out.guests.emplace(word.substr(0, slash), *address);
    } else {
      out.devices.push_back(word);
    }
  }
  return out;
}

void Network::remove_device(const std::string& name) {
  const auto links = netlink_[0].links();
  for (const auto& link : links ? *links : std::vector<io::Link>{}) {
    if (link.name == name) take_back(netlink_[0].remove_link(link.index));
  }
}

// What a killed monitor left is told by the file it wrote, and by our own numbers. The next one takes over what still
// fits its configuration, so that the way is shut without a gap; all else goes.
void Network::clean_up_earlier(bool keep_what_fits) {
  ProxyNeighbours::take_back_earlier(netlink_[0], proxy_switches_path());
  const auto earlier = read_earlier();
  if (!earlier) {
    if (!keep_what_fits) take_back(ClearTextGate::take_back_earlier(setup_.route_table));
    remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
    return;
  }
  const bool same = keep_what_fits && earlier->table == setup_.route_table &&
                    earlier->priority == setup_.rule_priority && earlier->mark == setup_.fwmark;
  log_.notice("network",
              same ? "an earlier cygnetd did not end by itself: taking over the rule, devices and routes it left"
                   : "an earlier cygnetd did not end by itself: removing the rule and routes it left");
  const auto wanted = daemon::device_names(setup_);
  for (const auto& name : earlier->devices) {
    if (!same || std::ranges::find(wanted, name) == wanted.end()) remove_device(name);
  }
  guests_ = earlier->guests;
  if (same) {
    // Those of interfaces that are not ours to use any more.
    auto gone = guests_;
    std::erase_if(gone, [&](const Guest& guest) { return std::ranges::find(wanted, guest.first) != wanted.end(); });
    for (const auto& guest : gone) guests_.erase(guest);
    return remove_guests(gone);
  }
  remove_guests(std::exchange(guests_, {}));
  remove_ours(earlier->table, earlier->priority, earlier->mark);
  remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
  take_back(ClearTextGate::take_back_earlier(earlier->table));
}

void Network::close() {
  if (proxies_) proxies_->close();
  if (!netlink_.empty() && opened_) {
    remove_ours(setup_.route_table, setup_.rule_priority, setup_.fwmark);
    take_back(gate_.close());
    const auto links = netlink_[0].links();
    for (const auto& device : devices_) {
      auto let_go = io::keep_tun(device, false);
      // Somebody may have deleted it.
      const bool there = links && std::ranges::find(*links, device.index, &io::Link::index) != links->end();
      if (there) take_back(let_go);
    }
    remove_interfaces();
    // With it the next start, or --clean-up, knows of what is left.
    if (!left_behind_) io::remove_file(state_path_);
  }
  placed_.clear();
  pools_.clear();
  refused_.clear();
  held_.clear();
  pool_ways_.clear();
  addresses_ = 0;
  guarded_ = 0;
  thrown_.clear();
  workers_.clear();
  kernel_sockets_.clear();
  devices_.clear();  // the devices vanish with their last descriptor
  sockets_.clear();
}

}  // namespace cygnet::daemon
