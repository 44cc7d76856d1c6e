// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cygnet::cli {
namespace {

using control::DoctorFacts;
using control::State;

// A fraction of what a socket of ours holds: it is behind, and nothing is lost yet.
constexpr std::uint64_t kPfkeyBacklog = 1'000'000;

class Examination {
 public:
  Examination(const DoctorFacts& daemon, const HostFacts& host) : daemon_(daemon), host_(host) {}

  std::vector<Check> run() {
    processes();
    namespaces();
    devices();
    ports();
    routes();
    pools();
    covered_links();
    reverse_path();
    clear_text();
    forwarding();
    connections();
    counters();
    drops();
    engines();
    kernel();
    configuration();
    certificates();
    return std::move(checks_);
  }

 private:
  void fine(std::string name, std::string what) {
    checks_.push_back({std::move(name), Finding::kFine, std::move(what), {}, {}});
  }
  void note(std::string name, std::string what, std::string why, std::string remedy) {
    checks_.push_back({std::move(name), Finding::kNote, std::move(what), std::move(why), std::move(remedy)});
  }
  void problem(std::string name, std::string what, std::string why, std::string remedy) {
    checks_.push_back({std::move(name), Finding::kProblem, std::move(what), std::move(why), std::move(remedy)});
  }
  // Adds "all well" if nothing was added under that name since `before`.
  void fine_unless(std::size_t before, const char* name, std::string what) {
    if (checks_.size() == before) fine(name, std::move(what));
  }

  void processes();
  void namespaces();
  void devices();
  void ports();
  void routes();
  void reverse_path();
  void pools();
  void covered_links();
  void clear_text();
  void forwarding();
  void connections();
  void counters();
  void drops();
  struct Carried {
    std::size_t user = 0, kernel = 0;  // connections
    std::string language = "xfrm";     // in which the kernel is driven
    bool plain_esp = false;            // our own engine has ESP without UDP
  };
  [[nodiscard]] Carried carried_by() const;
  void engines();
  void kernel();
  void configuration();
  void certificates();
  [[nodiscard]] std::vector<IpPrefix> remote_networks() const;
  [[nodiscard]] bool serves_networks(Family family) const;

  const DoctorFacts& daemon_;
  const HostFacts& host_;
  std::vector<Check> checks_;
};

void Examination::processes() {
  const auto before = checks_.size();
  for (const auto& process : daemon_.processes) {
    const bool dead = std::find(host_.dead_pids.begin(), host_.dead_pids.end(), process.pid) != host_.dead_pids.end();
    if (dead) {
      problem("processes", process.role + " (PID " + std::to_string(process.pid) + ") is not running",
              "the monitor should have restarted it", "look at the log, then restart cygnetd");
    } else if (process.restarts > 0) {
      note("processes", process.role + " was restarted " + count_text(process.restarts, "time"),
           "something made it crash", "the log says when; please report it");
    }
  }
  if (!daemon_.status.engine_connected) {
    problem("processes", "the packet engine is not connected", "no packet passes without it",
            "look at the log; the monitor restarts it");
  }
  fine_unless(before, "processes", std::to_string(daemon_.processes.size()) + " running");
}

void Examination::namespaces() {
  if (!host_.same_network_namespace) {
    note("namespace", "cygnetd runs in another network namespace than this command",
         "what follows about devices, routes and ports may not be what it sees",
         "run doctor there: nsenter -n -t PID cygnet doctor, or ip netns exec");
  }
}

void Examination::devices() {
  if (!host_.tun_present) {
    problem("tun", "/dev/net/tun cannot be used: " + host_.tun_error, "the engine's device is a TUN device",
            "modprobe tun; in a container: --device /dev/net/tun --cap-add NET_ADMIN");
  } else {
    fine("tun", "/dev/net/tun is there");
  }
  for (const auto& device : host_.devices) {
    if (!device.present) {
      problem("device", device.name + " does not exist", "packets enter the tunnels through it",
              "restart cygnetd; its log says why the device could not be made");
    } else if (!device.up) {
      problem("device", device.name + " is down", "packets enter the tunnels through it",
              "ip link set " + device.name + " up");
    } else if (device.mtu < 1280) {
      note("device", device.name + " has an MTU of " + std::to_string(device.mtu),
           "IPv6 needs 1280 (RFC 8200 section 5)", "raise mtu= of its connections");
    } else {
      fine("device", device.name + " is up, MTU " + std::to_string(device.mtu));
    }
  }
}

void Examination::ports() {
  if (!host_.ports_known) return;
  const auto before = checks_.size();
  for (const auto port : {daemon_.ike_port, daemon_.nat_port}) {
    if (std::find(host_.udp_ports.begin(), host_.udp_ports.end(), port) != host_.udp_ports.end()) continue;
    problem("ports", "UDP port " + std::to_string(port) + " is not open", "peers cannot reach this host",
            "does another IKE daemon hold it? ss -ulnp; its log names the reason");
  }
  if (!host_.esp_socket) {
    note("ports", "there is no raw socket for protocol 50", "plain ESP, without UDP around it, cannot arrive",
         "look at cygnetd's log; encapsulation=yes does without");
  }
  fine_unless(before, "ports",
              "UDP " + std::to_string(daemon_.ike_port) + " and " + std::to_string(daemon_.nat_port) + " are open");
  if (!host_.firewall_hint.empty()) {
    problem("firewall", host_.firewall_hint, "answers of peers may be dropped before cygnetd sees them",
            "allow UDP " + std::to_string(daemon_.ike_port) + ", UDP " + std::to_string(daemon_.nat_port) +
                " and protocol 50 (esp) in");
  }
}

void Examination::routes() {
  if (!host_.routes_known) return;
  const auto before = checks_.size();
  bool v4 = false;
  bool v6 = false;
  for (const auto& route : daemon_.routes) {
    if (const auto prefix = IpPrefix::parse(route.prefix)) (prefix->address.is_v4() ? v4 : v6) = true;
    if (std::find(host_.routes.begin(), host_.routes.end(), route.prefix) != host_.routes.end()) continue;
    problem("routes",
            "the route to " + route.prefix + " over " + route.device + " is gone from table " +
                std::to_string(daemon_.route_table),
            "packets to that network do not find the tunnel",
            "cygnetd tries to set it until it is there; if its log says that the kernel refuses it, that says why");
  }
  const auto has_rule = [&](Family family) {
    return std::find(host_.rules.begin(), host_.rules.end(), family) != host_.rules.end();
  };
  if ((v4 && !has_rule(Family::kV4)) || (v6 && !has_rule(Family::kV6))) {
    problem("routes",
            "the rule with priority " + std::to_string(daemon_.rule_priority) + " that leads to table " +
                std::to_string(daemon_.route_table) + " is gone",
            "without it no packet finds the tunnel routes", "restart cygnetd; find out who removed it");
  }
  for (const auto& rule : host_.rules_before) {
    note("routes", "the rule `" + rule + "` is asked before the one that leads to the tunnels",
         "packets that find a route there leave unprotected, also those that a tunnel is for",
         "if it is not meant so, remove it or give it a priority above " + std::to_string(daemon_.rule_priority));
  }
  fine_unless(before, "routes",
              daemon_.routes.empty()
                  ? "no tunnel is up, so none are needed"
                  : count_text(daemon_.routes.size(), "route") + " in table " + std::to_string(daemon_.route_table));
}

void Examination::pools() {
  const auto before = checks_.size();
  for (const auto& pool : daemon_.status.pool_routes) {
    if (pool.left_to.empty() || pool.proxyarp) continue;
    note("pools", "the pool " + pool.pool + " is routed by " + pool.left_to + " as well",
         "packets for addresses that no peer has go there, and are not refused",
         "if it should not be so, remove the route; a pool in a local network wants proxyarp=yes");
  }
  const auto& pools = daemon_.status.pool_routes;
  if (std::ranges::any_of(pools, [](const auto& pool) { return pool.left_to.empty(); }))
    fine_unless(before, "pools", "packets for addresses that no peer has are refused");
}

void Examination::covered_links() {
  for (const auto& [network, device] : daemon_.status.covered_links) {
    note("local-networks", network + " is on " + device + ", and no address of this machine lies in it",
         "a tunnel covers it: its hosts are reached through the tunnel or not at all",
         "if it should stay outside: ip rule add to " + network + " lookup main priority " +
             std::to_string(daemon_.rule_priority / 2) + ", or a narrower rightsubnet=");
  }
}

std::vector<IpPrefix> Examination::remote_networks() const {
  std::vector<IpPrefix> out;
  for (const auto& route : daemon_.routes) {
    if (const auto prefix = IpPrefix::parse(route.prefix)) out.push_back(*prefix);
  }
  return out;
}

void Examination::reverse_path() {
  const auto before = checks_.size();
  const bool strict = host_.rp_filter_all == 1;
  const auto networks = remote_networks();
  for (const auto& connection : daemon_.status.connections) {
    for (const auto& ike : connection.ike_sas) {
      const bool covered = std::any_of(networks.begin(), networks.end(),
                                       [&](const IpPrefix& n) { return n.contains(ike.remote.address); });
      if (!covered || !strict || host_.src_valid_mark == 1 || ike.remote.address.is_v6()) continue;
      problem("rp-filter",
              "rp_filter is strict, and the tunnel " + connection.name + " covers its own peer " +
                  ike.remote.address.to_string(),
              "the kernel takes the peer's packets for forged and drops them",
              "sysctl -w net.ipv4.conf.all.src_valid_mark=1" +
                  std::string(daemon_.status.clear_text_problem.empty() ? " (or rp_filter=2)" : ""));
    }
  }
  for (const auto& device : host_.devices) {
    if (device.present && (device.rp_filter == 1 || (strict && device.rp_filter >= 0 && device.rp_filter < 2))) {
      note("rp-filter", "rp_filter is strict on " + device.name,
           "decrypted packets are dropped if their answer would leave by another device",
           "if packets come in and vanish: sysctl -w net.ipv4.conf." + device.name +
               ".rp_filter=2 (of this device alone: on outer devices it does no harm)");
    }
  }
  if (host_.rp_filter_all >= 0) fine_unless(before, "rp-filter", "rp_filter stands in nobody's way");
}

void Examination::clear_text() {
  const auto before = checks_.size();
  const auto& status = daemon_.status;
  if (status.held != 0) {
    note("clear-text",
         count_text(status.held, "packet") + " for protected networks would have left in the clear by another device",
         "a program binds its sockets to a device and goes past the routes into the tunnels, or these were gone; such "
         "packets are refused",
         "have the program not bind to a device; `ip rule add to NETWORK lookup main priority " +
             std::to_string(daemon_.rule_priority / 2) + "` leaves a network outside of the tunnels");
  }
  if (status.clear_text_problem.empty() && !status.outward_problem.empty()) {
    problem("clear-text",
            "what leaves in the clear by another device than a tunnel's is not refused: " + status.outward_problem,
            "programs that bind their sockets to a device go past the routes into the tunnels",
            "modprobe nf_tables nft_reject_inet");
  }
  const auto& why = status.clear_text_problem;
  if (why.empty()) return fine_unless(before, "clear-text", "it is refused where a tunnel protects");
  problem("clear-text", "clear text from outside for protected networks is not refused: " + why,
          "anybody who can send packets to this host can send some that seem to come through a tunnel",
          "modprobe nf_tables nft_fib_inet, and give cygnetd CAP_NET_ADMIN; where that cannot be, set "
          "net.ipv4.conf.*.rp_filter=1 on the outer devices (IPv4 only)");
}

// Does this host forward for networks behind it, or speak only for itself?
bool Examination::serves_networks(Family family) const {
  for (const auto& connection : daemon_.status.connections) {
    for (const auto& ike : connection.ike_sas) {
      for (const auto& child : ike.children) {
        for (const auto& text : child.local) {
          const auto prefix = IpPrefix::parse(text.substr(0, text.find('[')));
          if (!prefix || prefix->address.family() != family) continue;
          const bool own = prefix->length == prefix->address.bits() &&
                           std::find(host_.own_addresses.begin(), host_.own_addresses.end(), prefix->address) !=
                               host_.own_addresses.end();
          if (!own) return true;
        }
      }
    }
  }
  return false;
}

void Examination::forwarding() {
  const auto before = checks_.size();
  if (host_.forward_v4 == 0 && serves_networks(Family::kV4)) {
    problem("forwarding", "net.ipv4.ip_forward is 0", "packets of the hosts behind this gateway are not passed on",
            "sysctl -w net.ipv4.ip_forward=1");
  }
  if (host_.forward_v6 == 0 && serves_networks(Family::kV6)) {
    problem("forwarding", "net.ipv6.conf.all.forwarding is 0",
            "packets of the hosts behind this gateway are not passed on", "sysctl -w net.ipv6.conf.all.forwarding=1");
  }
  if (host_.forward_v4 >= 0) fine_unless(before, "forwarding", "on where it is needed");
}

void Examination::connections() {
  const auto before = checks_.size();
  std::size_t up = 0;
  for (const auto& connection : daemon_.status.connections) {
    up += connection.state == State::kUp ? 1 : 0;
    if (connection.last_error.empty() || connection.state == State::kUp) continue;
    const auto first_line = connection.last_error.substr(0, connection.last_error.find('\n'));
    problem("connections",
            connection.name + " is " + std::string(control::to_string(connection.state)) + ": " + first_line,
            "its networks cannot be reached", "cygnet up " + connection.name + " shows the negotiation");
  }
  fine_unless(before, "connections",
              count_text(daemon_.status.connections.size(), "connection") + " configured, " + grouped(up) + " up");
}

void Examination::counters() {
  const auto before = checks_.size();
  std::size_t children = 0;
  for (const auto& connection : daemon_.status.connections) {
    for (const auto& ike : connection.ike_sas) {
      for (const auto& child : ike.children) {
        ++children;
        if (child.out.packets >= 3 && child.in.packets == 0) {
          problem(
              "traffic", child.name + ": " + count_text(child.out.packets, "packet") + " out, none in",
              child.udp_encapsulation ? "the peer does not answer, or its packets do not arrive"
                                      : "plain ESP (protocol 50) may be blocked between the peers",
              child.udp_encapsulation
                  ? "look at the peer: its counters, its routes back to " + joined(child.local, ", ") + ", its firewall"
                  : "try encapsulation=yes, which needs only UDP; then look at the peer's routes and firewall");
        } else if (child.in.packets >= 3 && child.out.packets == 0) {
          problem("traffic", child.name + ": " + count_text(child.in.packets, "packet") + " in, none out",
                  "the answers do not enter the tunnel",
                  "ask `cygnet explain SRC DST` for an answer; look at ip_forward and at the firewall on forward");
        }
        if (child.in.errors > 0 && child.in.errors * 20 > child.in.packets) {
          note("traffic", child.name + ": " + count_text(child.in.errors, "error") + " in",
               "many packets of this SA were refused", "cygnet drops says which check they failed");
        }
      }
    }
  }
  if (children != 0) fine_unless(before, "traffic", "no child carries packets in one direction only");
}

void Examination::drops() {
  std::vector<std::pair<std::uint64_t, DropReason>> found;
  for (std::size_t i = 0; i < daemon_.drops.drops.size(); ++i) {
    const auto reason = static_cast<DropReason>(i);
    if (daemon_.drops.drops[i] != 0 && reason != DropReason::kDummy) found.emplace_back(daemon_.drops.drops[i], reason);
  }
  if (found.empty()) return fine("drops", "no packet was dropped");
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  if (found.size() > 3) found.resize(3);
  for (const auto& [count, reason] : found) {
    const auto& row = info(reason);
    note("drops", count_text(count, "packet") + " dropped: " + std::string(row.name), std::string(row.why),
         std::string(row.remedy));
  }
}

Examination::Carried Examination::carried_by() const {
  Carried out;
  for (const auto& connection : daemon_.status.connections) {
    ++(connection.engine == "xfrm" || connection.engine == "pfkey" ? out.kernel : out.user);
    if (connection.engine == "pfkey") out.language = "pfkey";
    for (const auto& ike : connection.ike_sas) {
      const bool plain = std::ranges::any_of(ike.children, [](const auto& c) { return !c.udp_encapsulation; });
      out.plain_esp = out.plain_esp || (connection.engine == "user" && plain);
    }
  }
  return out;
}

// Who carries the packets, and whether the way to the kernel is open.
void Examination::engines() {
  const auto carried = carried_by();
  if (carried.kernel == 0) return;
  fine("engines", "the kernel (" + carried.language + ") carries " + count_text(carried.kernel, "connection") +
                      (carried.user == 0 ? "" : ", Cygnet's own engine " + count_text(carried.user, "connection")));
  if (carried.language != "pfkey") return;
  if (!host_.pfkey_backlog) {
    problem("pf-key", "the kernel has no PF_KEY any more", "SAs can neither be set nor removed",
            "modprobe af_key, and restart cygnetd; or engine=xfrm");
  } else if (*host_.pfkey_backlog > kPfkeyBacklog) {
    note("pf-key", "a PF_KEY socket has " + bytes_text(*host_.pfkey_backlog) + " that its program has not read",
         "what does not fit any more is lost, and nobody is told",
         "/proc/net/pfkey shows the sockets; if it is cygnetd's, the machine is too busy: engine=xfrm tells of losses");
  } else {
    fine("pf-key", "what the kernel says over PF_KEY is read in time; anti-replay windows have 32 packets");
  }
}

// Also where our own engine carries the packets: whatever is counted there is another program's doing, and news.
void Examination::kernel() {
  const auto carried = carried_by();
  for (const auto& counter : host_.xfrm_counters) {
    // The kernel, too, sees the plain ESP that our own engine takes from a raw socket.
    if (carried.plain_esp && counter.name == "XfrmInNoStates") {
      fine("kernel-ipsec", counter.name + ": " + count_text(counter.count, "packet") +
                               ", among them all plain ESP that Cygnet's own engine carries");
      continue;
    }
    note("kernel-ipsec", counter.name + ": " + count_text(counter.count, "packet"), counter.why, counter.remedy);
  }
}

void Examination::configuration() {
  const auto before = checks_.size();
  for (const auto& warning : daemon_.config_warnings)
    note("configuration", warning, "a line of the configuration may not do what it looks like",
         "cygnet check FILE shows it with its hint");
  fine_unless(before, "configuration", "no warnings");
}

void Examination::certificates() {
  constexpr std::int64_t kDay_s = 86400;
  const auto before = checks_.size();
  std::size_t readable = 0;
  for (const auto* list : {&daemon_.certs.certificates, &daemon_.certs.authorities}) {
    for (const auto& one : *list) {
      const auto name = "'" + (one.subject.empty() ? one.name : one.subject) + "' (" + one.source + ")";
      if (!one.fault.empty())
        problem("certificates", name + ": " + one.fault, "it is not used", "put another file into its place");
      if (one.subject.empty()) continue;
      ++readable;
      const auto left = one.expires_in_s;
      if (left <= 0) {
        problem("certificates", name + " has expired", "nobody accepts it any more",
                "renew it, put the new one into its place, and run cygnet reload");
      } else if (left <= 30 * kDay_s) {
        auto what = name + " expires in " + duration_text(static_cast<std::uint64_t>(left));
        const char* why = "nobody accepts it after that";
        const char* remedy = "renew it, put the new one into its place, and run cygnet reload";
        left <= 7 * kDay_s ? problem("certificates", std::move(what), why, remedy)
                           : note("certificates", std::move(what), why, remedy);
      }
      if (one.own && one.private_key == false)
        problem("certificates", name + ": there is no private key for it", "we cannot prove that it is ours",
                "put the key into private/ beside ipsec.secrets, and run cygnet reload");
    }
  }
  for (const auto& crl : daemon_.certs.crls) {
    if (!crl.fault.empty())
      note("certificates", crl.source + ": " + crl.fault, "what it would say of revoked certificates is not known",
           "look at the file or the server");
  }
  fine_unless(before, "certificates",
              readable == 0 ? "none are configured" : count_text(readable, "certificate") + ", all good for a month");
}

const char* finding_word(Finding finding) {
  switch (finding) {
    case Finding::kFine: return "ok";
    case Finding::kNote: return "note";
    case Finding::kProblem: return "problem";
  }
  return "ok";
}

}  // namespace

std::vector<Check> examine(const std::optional<DoctorFacts>& daemon, const std::string& no_daemon_reason,
                           const HostFacts& host) {
  if (daemon) {
    std::vector<Check> checks{
        {"daemon",
         Finding::kFine,
         "cygnetd " + daemon->status.version + " answers, up " + duration_text(daemon->status.uptime_s),
         {},
         {}}};
    auto more = Examination(*daemon, host).run();
    checks.insert(checks.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return checks;
  }
  std::vector<Check> checks{{"daemon", Finding::kProblem, "cygnetd cannot be asked", no_daemon_reason,
                             "journalctl -u cygnet shows why it ended, if it was started"}};
  if (!host.tun_present) {
    checks.push_back({"tun", Finding::kProblem, "/dev/net/tun cannot be used: " + host.tun_error,
                      "the engine's device is a TUN device",
                      "modprobe tun; in a container: --device /dev/net/tun --cap-add NET_ADMIN"});
  }
  return checks;
}

bool has_problem(const std::vector<Check>& checks) {
  return std::any_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.finding == Finding::kProblem; });
}

std::string render(const std::vector<Check>& checks, const Style& style) {
  std::string text;
  std::size_t problems = 0;
  for (const auto& check : checks) {
    const auto tone = check.finding == Finding::kFine   ? Tone::kGood
                      : check.finding == Finding::kNote ? Tone::kWarn
                                                        : Tone::kBad;
    std::string word = finding_word(check.finding);
    word.resize(7, ' ');
    text += style.paint(tone, word) + "  " + check.name + ": " + harmless(check.what) + '\n';
    if (!check.why.empty()) text += indented("why: " + harmless(check.why), "         ");
    if (!check.remedy.empty()) text += indented("do:  " + check.remedy, "         ");
    problems += check.finding == Finding::kProblem ? 1 : 0;
  }
  text += problems == 0 ? "No problem found.\n" : count_text(problems, "problem") + " found.\n";
  return text;
}

std::string to_json_text(const std::vector<Check>& checks) {
  nlohmann::ordered_json json{{"ok", !has_problem(checks)}, {"checks", nlohmann::ordered_json::array()}};
  for (const auto& check : checks) {
    json["checks"].push_back({{"name", check.name},
                              {"status", finding_word(check.finding)},
                              {"what", check.what},
                              {"why", check.why},
                              {"do", check.remedy}});
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace cygnet::cli
