// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the monitor sets in the kernel: devices, sockets, addresses, routes, the rule that leads into them. And takes
// back.
//
// Routing (as WireGuard's wg-quick does it, with one more turn): every tunnelled prefix is a route of a table of our
// own, and the rule `PRIORITY: not fwmark MARK lookup TABLE` sends all packets there but our own ESP and IKE, which
// carry MARK. A wide tunnelled prefix must not cut off networks this machine is itself attached to: those that lie
// inside a tunnelled prefix, and may stay outside (local_networks.h), get a `throw` route, so that the search goes on
// in the main table.
//
// Nothing of this opens by itself: devices are kept, with their routes, when the monitor is killed (packets into them
// are lost then, not sent in the clear), and taken over by the next one; what somebody else takes away is put back.
// Until it is, a second route of each prefix stands in, the holding one: unreachable, with the worst metric and without
// a device, so that nothing that happens to devices or addresses takes it along.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/engine_plan.h"
#include "daemon/monitor/clear_text_gate.h"
#include "daemon/monitor/local_networks.h"
#include "daemon/monitor/name_servers.h"
#include "daemon/monitor/pool_routes.h"
#include "daemon/monitor/proxy_neighbours.h"
#include "daemon/monitor/unmet.h"
#include "daemon/monitor/worker_queues.h"
#include "daemon/role_messages.h"
#include "io/routing_rules.h"
#include "io/rtnetlink.h"
#include "io/tun.h"
#include "model/connection.h"

namespace cygnet::daemon {

// Where our rule must stand as well, so that those that the kernel put right before `ours` do not come first: it
// numbers a rule that is given no number one less than the first it has. A gap between is somebody's wish. others:
// numbers of rules that lead elsewhere; own: of ours.
[[nodiscard]] std::optional<std::uint32_t> place_before(const std::set<std::uint32_t>& others,
                                                        const std::set<std::uint32_t>& own, std::uint32_t ours);

// What ike may ask for, by the configuration.
struct NetworkBounds {
  std::vector<IpRange> addresses;   // leftsourceip=
  bool assigned_addresses = false;  // leftsourceip=%config: a peer says which
  std::vector<IpRange> proxied;     // the peers' addresses of connections with proxyarp=yes
  std::vector<IpRange> pools;       // rightaddresspool=: as pool_prefixes() says
  std::vector<CoveredNetworks> covered;
  bool operator==(const NetworkBounds&) const = default;
};
[[nodiscard]] NetworkBounds bounds_of(const model::Connection& connection);

class Network {
 public:
  // More than any ike has: bounds for what a hostile one could make the kernel keep.
  static constexpr std::size_t kMost = 1'000'000;
  static constexpr std::size_t kMostAddresses = 4096;
  static constexpr std::size_t kMostOfEngine = kMost / 2;  // ike's have room beside them
  static constexpr std::size_t kMostGuarded =
      100'000;  // clear networks and guards: all of it is one text for the filter

  // plan: who carries the packets.
  Network(model::Setup setup, std::string state_path, Logger& log, model::EngineThreads threads = {},
          const EnginePlan& plan = {});

  // Takes over or cleans up what an earlier monitor left, makes devices, sockets and rules.
  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> apply(const NetworkRequest& request);
  // In their order; new routes that follow each other are set together. What failed, for whoever asked: it is logged,
  // and what the kernel refused is wanted all the same and tried again by repair().
  [[nodiscard]] std::vector<NetworkFailure> apply(const std::vector<NetworkRequest>& requests);
  // Routes that the engine asks for by itself: they stay when ike begins anew, and while ike wants them too. They are
  // those of policies that came over PF_KEY. Anything else in the message is not the engine's to ask.
  void apply_for_engine(const ToMonitor& message);
  // The engine died, and with it the policies that programs gave it: what those let in is refused again. Routes stay.
  void on_engine_gone();
  void begin_sync();          // a new ike will ask for all it needs ...
  void end_sync();            // ... has done so: the rest goes
  void on_network_changed();  // addresses of this machine are not what they were
  void on_routes_changed();   // only its routes
  void set_bounds(NetworkBounds bounds);
  // Whose questions for names are let out when ike asks for that, where no other program asks in its place.
  void set_asker(std::uint32_t uid, NameServerPaths paths = {}) {
    asker_ = uid;
    name_server_paths_ = std::move(paths);
  }
  // Somebody has taken away what is ours: puts it back. True: a device was gone and had to be made anew, so that the
  // engine must begin anew as well.
  [[nodiscard]] bool repair();
  // False: something that is wanted is missing in the kernel, or could not be looked at.
  [[nodiscard]] bool all_there() const { return unmet_.empty(); }
  [[nodiscard]] std::size_t asked_by_engine() const { return kept_.size(); }
  [[nodiscard]] const std::vector<PoolRoutes::Way>& pool_ways() const { return pool_ways_; }
  // Networks on a link that a tunnel covers though no address of ours lies in them: looked for when something has
  // changed, and not too often.
  void look_for_covered_links(Instant now);
  [[nodiscard]] const std::vector<CoveredLinks::Network>& covered_links() const { return covered_links_; }
  [[nodiscard]] io::RouteChangeFilter ours() const;
  [[nodiscard]] ClearTextGate& gate() { return gate_; }
  // What was asked of the packet filter since: told to it.
  [[nodiscard]] bool gate_unsettled() const { return gate_.unsettled() || ways_changed_; }
  void settle_gate();
  void close();
  // Only what an earlier one left, without beginning anything.
  [[nodiscard]] Result<void> clean_up();

  [[nodiscard]] const std::vector<io::TunDevice>& devices() const { return devices_; }
  // Their names, and those of XFRM interfaces.
  [[nodiscard]] std::vector<std::string> device_names() const;
  [[nodiscard]] const std::vector<io::OuterSocket>& sockets() const { return sockets_; }
  // Where both engines carry packets: of the encapsulation port, for ESP that is the kernel's.
  [[nodiscard]] const std::vector<io::OuterSocket>& kernel_sockets() const { return kernel_sockets_; }
  // Of the further threads of the engine; sockets as engine_sockets().
  [[nodiscard]] const std::vector<WorkerQueues>& workers() const { return workers_; }
  // All but those of the IKE port, which carries no ESP.
  [[nodiscard]] std::vector<const io::OuterSocket*> engine_sockets() const;
  // As configured; how many there are: workers().
  [[nodiscard]] const model::EngineThreads& engine_threads() const { return wanted_threads_; }
  [[nodiscard]] const model::Setup& setup() const { return setup_; }

 private:
  struct Placed {  // what was set, by what it is
    enum class What : std::uint8_t { kRoute, kAddress, kProxy, kPool, kClear, kGuard };
    io::Route route;
    What what = What::kRoute;
    GuardedTraffic traffic;     // of kGuard
    std::uint32_t request = 0;  // the last one for it
    auto key() const { return std::tie(what, route.destination, route.device, traffic); }
    bool operator<(const Placed& other) const { return key() < other.key(); }
    [[nodiscard]] std::string name() const;
  };
  // An address of ours on an interface of the administrator's, by its name.
  using Guest = std::pair<std::string, IpAddress>;
  struct Interface {  // of the kernel's IPsec
    model::XfrmInterface is;
    int index = 0;
    bool made = false;  // by us, and not by an administrator
  };
  [[nodiscard]] Result<void> open_all();
  [[nodiscard]] Result<void> open_devices();
  void remove_interfaces();  // those that we made
  [[nodiscard]] Result<void> open_interfaces(const std::vector<std::string>& earlier);
  [[nodiscard]] Result<Interface> open_interface(const model::XfrmInterface& wanted, bool earlier);
  void keep_routes_of(const Interface& interface);
  [[nodiscard]] const Interface* foreign(int index) const;  // nullptr: this is none of an administrator's
  void add_guest(const Interface& interface, const IpAddress& address);
  void remove_guests(const std::set<Guest>& guests);
  [[nodiscard]] Result<void> stop_keeping_routes(const std::string& name, int index);
  [[nodiscard]] Result<void> write_state() const;
  // Where new devices are born without IPv6 (net.ipv6.conf.default.disable_ipv6), one that we made gets it as soon as a
  // tunnel needs it.
  void want_ipv6(int device);
  // Nothing of IPv6 can leave this machine, or it cannot be switched on here: no reason to do without IPv4.
  [[nodiscard]] bool is_without_ipv6(int device) const;
  void renumber(int from, int to);
  void repair_interfaces(const std::vector<io::Link>& links);
  void put_up_again(const std::string& name, int index);
  // Whether this is a TUN device or an XFRM interface of ours; 0: the name is none.
  [[nodiscard]] bool is_ours(int index) const;
  [[nodiscard]] int index_of(const std::string& device) const;
  [[nodiscard]] std::string device_name(int index) const;  // empty: it is none of them
  [[nodiscard]] Result<void> open_sockets();
  void open_optional_socket(Result<io::OuterSocket> socket);
  // The kernel's ESP and that of our own engine go apart.
  [[nodiscard]] Result<void> open_kernel_sockets();
  [[nodiscard]] Result<void> add_rules();
  [[nodiscard]] Result<void> add_rules(Family family);
  // Questions for names may leave beside the tunnels, and their answers come in; called again, it looks anew who is
  // asked.
  [[nodiscard]] Result<void> let_questions_out(bool out);
  // Right before the first of our rules.
  [[nodiscard]] Result<void> add_question_rules(Family family);
  [[nodiscard]] std::set<io::QuestionRule> question_rules_of(Family family) const;
  void tell_of_rules(Family family, const std::vector<io::RoutingRule>& others, std::uint32_t first);
  struct Earlier {  // what the file in the run directory says about an earlier monitor
    std::uint32_t table = 0, priority = 0, mark = 0;
    std::vector<std::string> devices;
    std::set<Guest> guests;
  };
  [[nodiscard]] std::optional<Earlier> read_earlier() const;
  void clean_up_earlier(bool keep_what_fits);
  void remove_device(const std::string& name);
  [[nodiscard]] Result<io::TunDevice> open_device(const std::string& name, bool earlier);
  void take_over_routes();
  [[nodiscard]] bool repair_devices();
  void repair_routes(Family family);
  [[nodiscard]] bool is_wanted(const io::Route& route) const;
  void repair_addresses();
  [[nodiscard]] Result<void> check_bounds(const Placed& what);
  [[nodiscard]] Result<void> apply_one(const NetworkRequest& request);
  void remove_ours(std::uint32_t table, std::uint32_t priority, std::uint32_t mark);
  [[nodiscard]] Result<Placed> check(const NetworkRequest& request) const;
  [[nodiscard]] Result<void> place(const Placed& what);
  // Those that lead into a device with their holding routes. Those that could not be set, by their place.
  [[nodiscard]] std::vector<std::pair<std::size_t, Error>> set_routes(const std::vector<io::Route>& routes);
  // As they are.
  [[nodiscard]] std::vector<std::pair<std::size_t, Error>> put(const std::vector<io::Route>& routes);
  [[nodiscard]] io::Route holding(const IpPrefix& prefix) const;
  [[nodiscard]] Result<void> displace(const Placed& what);
  void place_together(std::vector<Placed>& routes, std::vector<NetworkFailure>& failures);
  void remember(const Placed& what);
  void forget(const Placed& what);
  void set_special_routes();
  struct MainTable {
    std::set<IpAddress> gateways;
    std::set<IpPrefix> routed;  // all destinations but the default route
  };
  [[nodiscard]] const MainTable& main_table();
  [[nodiscard]] std::set<IpPrefix> local_networks();
  [[nodiscard]] bool is_on_its_link(const AttachedNetwork& network);
  void tell_of(const IpPrefix& network, Stays where);
  [[nodiscard]] bool is_covered_link(const io::Route& route) const;
  [[nodiscard]] bool is_own_or_gateway(const IpAddress& ip);
  void replace_routes(std::set<IpPrefix>& there, std::set<IpPrefix> wanted, io::Route::Kind kind);
  [[nodiscard]] io::Route special(const IpPrefix& destination, io::Route::Kind kind) const;
  void note_unmet(const io::Route& route, const Error& why);
  void update_way(const IpPrefix& prefix);
  void take_back(const Result<void>& done);
  void refuse(const Error& why);
  [[nodiscard]] Result<void> apply_for_engine(const NetworkRequest& request);
  [[nodiscard]] std::string proxy_switches_path() const { return state_path_ + ".proxy-ndp"; }
  [[nodiscard]] bool meets_special(const IpPrefix& tunnelled) const;
  [[nodiscard]] bool is_ikes(const Placed& what) const { return wanted_.contains(what) || before_.contains(what); }
  [[nodiscard]] bool ike_lets_in(IpPrefix network) const;
  [[nodiscard]] std::set<IpPrefix> protected_in_clear() const;

  model::Setup setup_;
  std::uint32_t threads_;                // of the engine
  model::EngineThreads wanted_threads_;  // theirs
  std::string state_path_;
  Logger& log_;
  bool kernel_;                           // its IPsec carries all packets
  bool both_;                             // it carries those of some connections
  std::vector<io::RouteSocket> netlink_;  // one, once opened
  std::optional<ProxyNeighbours> proxies_;
  std::vector<io::TunDevice> devices_;
  std::vector<Interface> interfaces_;
  std::vector<io::OuterSocket> sockets_;
  std::vector<WorkerQueues> workers_;
  std::vector<io::OuterSocket> kernel_sockets_;
  std::set<Placed> placed_;
  std::set<Placed> wanted_;                       // what ike asked for
  std::set<Placed> before_;                       // what the ike before it did, until end_sync()
  std::set<Placed> kept_;                         // what the engine asked for
  bool ways_changed_ = false;                     // since settle_gate()
  std::map<IpPrefix, unsigned> tunnelled_count_;  // a prefix may lead into several devices
  std::set<IpPrefix> tunnelled_;
  std::set<IpPrefix> held_;  // by holding routes from before, until end_sync()
  std::vector<AttachedNetwork> attached_;
  std::map<IpPrefix, Stays> told_;  // of attached_: what was logged
  std::set<IpAddress> own_addresses_;
  std::optional<MainTable> main_table_;  // as last asked for
  NetworkBounds bounds_;
  std::size_t addresses_ = 0;  // of placed_
  std::size_t guarded_ = 0;    // clear networks and guards of placed_
  ClearTextGate gate_;
  std::optional<std::uint32_t> asker_;
  NameServerPaths name_server_paths_;
  std::optional<NameServers> asked_;  // questions for names are let out, to these
  bool ike_asks_ = false;             // this ike has said so
  std::map<Family, std::uint32_t> first_rule_;
  std::set<IpPrefix> thrown_;
  std::set<IpPrefix> pools_;    // of placed_
  std::set<IpPrefix> refused_;  // of pools_, those with a route that refuses
  std::vector<PoolRoutes::Way> pool_ways_;
  std::vector<CoveredLinks::Network> covered_links_;
  std::set<IpPrefix> covered_told_;
  bool links_unsure_ = true;  // whether those are all
  Instant next_look_at_links_{};
  std::set<Guest> guests_;
  std::vector<std::string> taking_over_;                // an earlier monitor's devices, until they are open here
  std::map<Family, std::set<std::string>> rules_told_;  // of others, before ours
  Unmet unmet_{log_};
  std::size_t refusals_ = 0;  // of requests, since the last process that asks began
  bool left_behind_ = false;  // something of ours could not be taken back
  bool opened_ = false;
};

}  // namespace cygnet::daemon
