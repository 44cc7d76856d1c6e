// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the monitor sets in the kernel: devices, sockets, addresses, routes, the rule that leads into them. And takes
// back.
//
// Routing (as WireGuard's wg-quick does it, with one more turn): every tunnelled prefix is a route of a table of our
// own, and the rule `PRIORITY: not fwmark MARK lookup TABLE` sends all packets there but our own ESP and IKE, which
// carry MARK. A wide tunnelled prefix must not cut off networks this machine is itself attached to: for each of those
// that lies inside a tunnelled prefix the table gets a `throw` route, so that the search goes on in the main table.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/monitor/proxy_neighbours.h"
#include "daemon/role_messages.h"
#include "io/rtnetlink.h"
#include "io/tun.h"
#include "model/connection.h"

namespace cygnet::daemon {

// The connected prefixes that need a throw route: inside a wider tunnelled one, and not tunnelled themselves.
[[nodiscard]] std::set<IpPrefix> throw_prefixes(const std::set<IpPrefix>& tunnelled,
                                                const std::vector<IpPrefix>& connected);

class Network {
 public:
  Network(model::Setup setup, std::string state_path, Logger& log);

  // Cleans up after an earlier monitor, then makes devices, sockets and rules.
  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> apply(const NetworkRequest& request);
  // In their order; new routes that follow each other are set together. What failed.
  [[nodiscard]] std::vector<Error> apply(const std::vector<NetworkRequest>& requests);
  // Routes that the engine asks for by itself: they stay when ike begins anew, and while ike wants them too. They are
  // those of policies that came over PF_KEY. Anything else in the message is not the engine's to ask.
  void apply_for_engine(const ToMonitor& message);
  void begin_sync() { wanted_.clear(); }  // a new ike will ask for all it needs ...
  void end_sync();                        // ... has done so: the rest goes
  void on_network_changed();              // routes or addresses of this machine are not what they were
  void close();
  // Only what an earlier one left, without beginning anything.
  [[nodiscard]] Result<void> clean_up();

  [[nodiscard]] const std::vector<io::TunDevice>& devices() const { return devices_; }
  [[nodiscard]] const std::vector<io::OuterSocket>& sockets() const { return sockets_; }
  [[nodiscard]] const model::Setup& setup() const { return setup_; }

 private:
  struct Placed {  // what was set, by what it is
    enum class What : std::uint8_t { kRoute, kAddress, kProxy };
    io::Route route;
    What what = What::kRoute;
    auto key() const { return std::tuple(what, route.destination, route.device); }
    bool operator<(const Placed& other) const { return key() < other.key(); }
  };
  [[nodiscard]] Result<void> open_devices();
  [[nodiscard]] Result<void> open_sockets();
  void open_optional_socket(Result<io::OuterSocket> socket);
  [[nodiscard]] Result<void> add_rules();
  void clean_up_earlier();
  void remove_ours(std::uint32_t table, std::uint32_t priority, std::uint32_t mark);
  [[nodiscard]] Result<Placed> check(const NetworkRequest& request) const;
  [[nodiscard]] Result<void> place(const Placed& what);
  [[nodiscard]] Result<void> displace(const Placed& what);
  void place_together(std::vector<Placed>& routes, std::vector<Error>& errors);
  void remember(const Placed& what);
  void forget(const Placed& what);
  void set_throw_routes();
  [[nodiscard]] Result<void> apply_for_engine(const NetworkRequest& request);
  [[nodiscard]] std::string proxy_switches_path() const { return state_path_ + ".proxy-ndp"; }
  [[nodiscard]] bool has_connected_inside(const IpPrefix& tunnelled) const;

  model::Setup setup_;
  std::string state_path_;
  Logger& log_;
  std::vector<io::RouteSocket> netlink_;  // one, once opened
  std::optional<ProxyNeighbours> proxies_;
  std::vector<io::TunDevice> devices_;
  std::vector<io::OuterSocket> sockets_;
  std::set<Placed> placed_;
  std::set<Placed> wanted_;
  std::set<Placed> kept_;                         // what the engine asked for
  std::map<IpPrefix, unsigned> tunnelled_count_;  // a prefix may lead into several devices
  std::set<IpPrefix> tunnelled_;
  std::vector<IpPrefix> connected_;  // networks this machine is attached to
  std::set<IpPrefix> thrown_;
  bool opened_ = false;
};

}  // namespace cygnet::daemon
