// SPDX-License-Identifier: Apache-2.0

// State as the command line shows it.
#include <algorithm>
#include <array>

#include "base/version.h"
#include "control/describe.h"
#include "control/wireshark.h"
#include "daemon/ike_role/certificates.h"
#include "daemon/ike_role/ike_process.h"
#include "daemon/pool_prefixes.h"

namespace cygnet::daemon {

namespace {

std::uint64_t seconds(Duration d) {
  return d <= Duration::zero()
             ? 0
             : static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(d).count());
}

std::optional<std::uint64_t> seconds_until(Instant when, Instant now) {
  return when == kNever || when == Instant{} ? std::nullopt : std::optional(seconds(when - now));
}

control::Traffic traffic(const model::SaCounters& counters, Instant now) {
  return {counters.packets, counters.bytes, counters.errors,
          counters.last_used == Instant{} ? std::nullopt : std::optional(seconds(now - counters.last_used))};
}

// What the engine counts of IP-TFS in one direction; the kernel counts nothing of it.
std::optional<control::TfsTraffic> tfs_traffic(const model::IpTfs& config, const model::TfsCounters& counted) {
  if (!config.enabled || counted == model::TfsCounters{}) return std::nullopt;
  return control::TfsTraffic{counted.payloads, counted.packets, counted.fragments, counted.empty, counted.padding};
}

std::vector<std::string> texts(const model::TrafficSelectors& selectors) {
  std::vector<std::string> out;
  for (const auto& s : selectors) {
    out.push_back(s.to_string());
  }
  return out;
}

std::vector<std::string> texts(const std::vector<IpAddress>& addresses) {
  std::vector<std::string> out;
  for (const auto& a : addresses) {
    out.push_back(a.to_string());
  }
  return out;
}

std::string nat_text(const ike::IkeStatus& sa) {
  if (sa.nat_local && sa.nat_remote) {
    return "both";
  }
  return sa.nat_local ? "local" : sa.nat_remote ? "remote" : "none";
}

std::string algorithms_of(const model::SaSpec& spec) {
  return model::to_string(model::ChosenEsp{.encryption = spec.encryption,
                                           .encryption_bits = spec.encryption_bits,
                                           .integrity = spec.integrity,
                                           .esn = spec.esn});
}

control::IkeCounters counters_of(const ike::EndpointCounters& c) {
  return {
      c.datagrams_in,         c.datagrams_out,       c.malformed,          c.unknown_spi,       c.retransmits_sent,
      c.retransmits_answered, c.cookies_sent,        c.half_open_refused,  c.integrity_failed,  c.half_open,
      c.established,          c.negotiations_failed, c.cookies_refused,    c.crowd_refused,     c.puzzles_sent,
      c.puzzles_solved,       c.puzzles_refused,     c.identities_refused, c.auth_puzzles_sent, c.auth_puzzles_solved,
      c.auth_puzzles_refused, c.fragments_in,        c.fragments_out,      c.fragments_refused, c.fragments_late};
}

std::string hex(Spi spi) {
  std::array<std::uint8_t, 4> octets{};
  store_be32(octets.data(), spi.value);
  return "0x" + to_hex(octets);
}

}  // namespace

control::IkeReport IkeProcess::report_ike(const ike::IkeStatus& sa, Instant now) const {
  return {.state = sa.state,
          .initiator = sa.initiator,
          .spi_i = sa.spi_i,
          .spi_r = sa.spi_r,
          .local = sa.path.local,
          .remote = sa.path.remote,
          .local_id = sa.local_id,
          .remote_id = sa.remote_id,
          .algorithms = sa.algorithms,
          .nat = nat_text(sa),
          .assigned_local = texts(sa.assigned_local),
          .assigned_remote = texts(sa.assigned_remote),
          .dns = texts(sa.dns),
          .established_s = sa.established == Instant{} ? 0 : seconds(now - sa.established),
          .rekey_in_s = seconds_until(sa.rekey_at, now),
          .pending = sa.pending,
          .children = {}};
}

control::ChildReport IkeProcess::report_child(const ike::ChildStatus& child, const Counters& counters,
                                              Instant now) const {
  control::ChildReport report{.name = child.name,
                              .spi_in = child.spi_in,
                              .spi_out = child.spi_out,
                              .algorithms = child.algorithms,
                              .mode = std::string(control::to_string(child.mode)),
                              .local = texts(child.local),
                              .remote = texts(child.remote),
                              .device = {},
                              .udp_encapsulation = child.udp_encapsulation,
                              .established_s = seconds(now - child.established),
                              .rekey_in_s = seconds_until(child.rekey_at, now),
                              .rekeys = child.rekeys,
                              .resource = child.resource,
                              .in = {},
                              .out = {}};
  if (const auto owner = children_.find(child.id); owner != children_.end()) {
    report.device = owner->second.device;
  }
  if (const auto it = counters.find(child.id); it != counters.end()) {
    report.in = traffic(it->second.in, now);
    report.out = traffic(it->second.out, now);
    const auto& found = it->second;
    if (found.tfs_in.enabled || found.tfs_out.enabled) {
      report.iptfs = {.rate_bits_s = found.out.tfs.rate,
                      .most_bits_s = found.tfs_out.congestion_control ? found.tfs_out.bits_per_s : 0,
                      .congestion_control = found.tfs_out.congestion_control,
                      .packet_bytes = found.tfs_out.packet_octets,
                      .in = tfs_traffic(found.tfs_in, found.in.tfs),
                      .out = tfs_traffic(found.tfs_out, found.out.tfs)};
    }
    if (found.diet.enabled) report.diet_esp = found.diet.sn_octets;
    if (found.traffic == model::Traffic::kLatency) report.traffic = "latency";
    if (found.traffic == model::Traffic::kThroughput) report.traffic = "throughput";
  }
  return report;
}

IkeProcess::SasOf IkeProcess::by_connection(const std::vector<ike::IkeStatus>& all) const {
  SasOf out;
  const auto add = [&](const std::string& name, const ike::IkeStatus& sa) {
    auto& list = out[name];
    if (list.empty() || list.back() != &sa) list.push_back(&sa);
  };
  for (const auto& sa : all) {
    add(sa.connection, sa);
    for (const auto& child : sa.children) {
      if (const auto owner = children_.find(child.id); owner != children_.end()) add(owner->second.connection, sa);
    }
  }
  return out;
}

control::ConnectionReport IkeProcess::report_connection(const model::Connection& connection,
                                                        const std::vector<const ike::IkeStatus*>& sas,
                                                        const Counters& counters) const {
  const auto now = clock_.monotonic();
  control::ConnectionReport report{.name = connection.name,
                                   .local = connection.local.host.to_string(),
                                   .remote = connection.remote.host.to_string(),
                                   .engine = std::string(engine_word(start_.engines, connection))};
  std::set<std::string> up;
  bool connecting = false;
  for (const auto* sa : sas) {
    auto ike = report_ike(*sa, now);
    for (const auto& child : sa->children) {
      const auto owner = children_.find(child.id);
      if (owner != children_.end() && owner->second.connection == connection.name) {
        ike.children.push_back(report_child(child, counters, now));
        up.insert(child.name);
      }
    }
    // Connections between the same two peers share an IKE SA.
    if (sa->connection == connection.name || !ike.children.empty()) {
      connecting = connecting || ike.children.empty();
      report.ike_sas.push_back(std::move(ike));
    }
  }
  bool waits = false;
  for (const auto& child : connection.children) {
    if (!up.contains(child.name)) {
      const bool holding = !policies_.acquiring(connection.name, child.name).empty();
      waits = waits || holding;
      report.inactive.push_back(
          {child.name,
           connecting ? control::State::kConnecting
           : holding  ? control::State::kWaiting
                      : control::State::kDown,
           model::to_string(policy::local_selectors(connection, child, !in_kernel(connection.name))),
           model::to_string(policy::remote_selectors(connection, child))});
    }
  }
  report.state = !up.empty()  ? control::State::kUp
                 : connecting ? control::State::kConnecting
                 : waits      ? control::State::kWaiting
                              : control::State::kDown;
  if (const auto it = last_errors_.find(connection.name); it != last_errors_.end() && up.empty()) {
    report.last_error = it->second;
  }
  return report;
}

control::SummaryReport IkeProcess::make_summary() const {
  const auto& counters = endpoint_->counters();
  return {.version = std::string(version()),
          .uptime_s = seconds(clock_.monotonic() - started_),
          .engine_connected = first_engine_.connected() && (!start_.engines.both() || kernel_engine_.connected()),
          .connections = connections_.size() + unusable_.size(),
          .ike_sas = counters.established,
          .children = children_.size(),
          .initiating = endpoint_->initiating(),
          .waiting = endpoint_->waiting(),
          .ike = counters_of(counters)};
}

// Pools of one address are not listed, unless somebody else routes them.
std::vector<control::PoolRouteReport> IkeProcess::make_pool_routes() const {
  std::map<IpPrefix, std::optional<IpPrefix>> left_to;
  for (const auto& way : pool_routes_.list) left_to.emplace(way.pool, way.left_to);
  std::vector<control::PoolRouteReport> out;
  std::set<std::string_view> told;
  for (const auto& connection : connections_) {
    for (const auto& pool : connection.remote.pools) {
      control::PoolRouteReport report{.pool = pool.text, .left_to = {}, .proxyarp = connection.proxy_arp};
      bool known = false;
      for (const auto& prefix : pool_prefixes(pool)) {
        const auto way = left_to.find(prefix);
        if (way == left_to.end()) continue;
        known = true;
        if (way->second) report.left_to = way->second->to_string();
      }
      if (!known || (pool.is_single() && report.left_to.empty()) || !told.insert(pool.text).second) continue;
      out.push_back(std::move(report));
    }
  }
  return out;
}

control::StatusReport IkeProcess::make_status(const Result<sadb::Dump>& dump, const std::string& only) const {
  control::StatusReport report{.version = std::string(version()),
                               .uptime_s = seconds(clock_.monotonic() - started_),
                               .engine_connected = static_cast<bool>(dump),
                               .clear_text_problem = clear_text_.problem,
                               .outward_problem = clear_text_.outward_problem,
                               .held = clear_text_.held};
  report.pool_routes = make_pool_routes();
  for (const auto& network : covered_links_.list)
    report.covered_links.push_back({network.prefix.to_string(), network.device});
  Counters counters;
  if (dump) {
    for (const auto& sa : dump->sas) {
      auto& child = counters[sa.spec.child];
      const bool inbound = sa.spec.direction == model::Direction::kInbound;
      (inbound ? child.in : child.out) = sa.counters;
      (inbound ? child.tfs_in : child.tfs_out) = sa.spec.iptfs;
      child.diet = sa.spec.diet;
      child.traffic = sa.spec.traffic;
    }
  }
  const auto all = endpoint_->status(only);
  const auto sas = by_connection(all);
  for (const auto& connection : connections_) {
    if (only.empty() || only == connection.name) {
      const auto of = sas.find(connection.name);
      report.connections.push_back(
          report_connection(connection, of == sas.end() ? std::vector<const ike::IkeStatus*>{} : of->second, counters));
    }
  }
  for (const auto& connection : configuration_.conf.connections) {
    const auto why = unusable_.find(connection.name);
    if (why == unusable_.end() || (!only.empty() && only != connection.name)) continue;
    const auto waiting = waiting_connections_.find(connection.name);
    const auto of = sas.find(connection.name);
    report.connections.push_back(report_connection(waiting == waiting_connections_.end() ? connection : waiting->second,
                                                   of == sas.end() ? std::vector<const ike::IkeStatus*>{} : of->second,
                                                   counters));
    report.connections.back().last_error = why->second;
  }
  report.ike = counters_of(endpoint_->counters());
  return report;
}

control::ExplainReport IkeProcess::make_explanation(const control::ExplainRequest& question,
                                                    const sadb::Explanation& explanation) {
  control::ExplainReport report{.question = question, .verdict = explanation.verdict};
  const auto source = question.source.is_unspecified() ? std::nullopt : std::optional(question.source);
  auto route = hosts_->route_to(question.destination, source, 0);
  if (!route) {
    // A source that is not ours: the packet is one that this machine forwards.
    if (source) route = hosts_->forwarded_to(question.destination, *source);
    if (!route) route = hosts_->route_to(question.destination, std::nullopt, 0);
  }
  const auto devices = device_names(configuration_.conf.setup);
  if (route) {
    report.route_device = hosts_->device_name(route->device);
    if (const auto& from = route->source) {
      report.route_source = from->to_string();
    }
    if (const auto& via = route->gateway) {
      report.route_via = via->to_string();
    }
    report.route_reaches_engine = std::ranges::find(devices, report.route_device) != devices.end();
    report.why.push_back(
        "the kernel's route to " + question.destination.to_string() + " leads to " + report.route_device +
        (report.route_reaches_engine ? ", Cygnet's device"
                                     : ", which is not Cygnet's: the packet does not come to the engine"));
  } else {
    report.why.push_back(route.error().message + ": the kernel refuses the packet before the engine sees it");
  }
  // What the engine would do with it says nothing where it does not come there. (The kernel's IPsec needs no route.)
  const bool kernels = explanation.found ? in_kernel(explanation.policy.connection) : !start_.engines.user;
  if (!kernels && !report.route_reaches_engine) {
    report.verdict = route ? "outside" : "unreachable";
  }
  if (explanation.found) {
    report.policy = control::describe(explanation.policy);
    report.why.push_back("policy " + std::to_string(explanation.policy.id.value) + " (" +
                         std::string(control::to_string(explanation.policy.action)) + ") of " +
                         explanation.policy.connection + "/" + explanation.policy.child_name +
                         " is the first that covers it: " + model::to_string(explanation.policy.local) +
                         " === " + model::to_string(explanation.policy.remote));
  } else if (report.verdict == "outside") {
    report.why.emplace_back("no policy covers it: it goes there as if there were no Cygnet");
  } else if (report.route_reaches_engine) {
    report.why.emplace_back("no policy covers it: the engine drops what no policy allows");
  }
  bool first = true;
  for (const auto& sa : explanation.outbound) {
    report.sas.push_back({.connection = sa.spec.connection,
                          .child = sa.spec.child_name,
                          .spi = sa.spec.spi,
                          .algorithms = algorithms_of(sa.spec),
                          .local = sa.spec.local,
                          .remote = sa.spec.remote,
                          .udp_encapsulation = sa.spec.udp_encapsulation,
                          .in_use = !sa.counters.standby && std::exchange(first, false),
                          .packets = sa.counters.packets});
  }
  if (!report.sas.empty()) {
    const auto& sa = report.sas.front();
    report.why.push_back(
        "SA " + hex(sa.spi) + " (" + sa.algorithms + ") carries it from " + sa.local.address.to_string() + " to " +
        sa.remote.address.to_string() +
        (sa.udp_encapsulation ? " inside UDP port " + std::to_string(sa.remote.port) : " as plain ESP"));
  } else if (explanation.found && explanation.policy.action == model::PolicyAction::kProtect) {
    const auto why_not = unusable_.find(explanation.policy.connection);
    report.why.emplace_back(
        why_not != unusable_.end()
            ? "no SA is there, and none can be made now: " + why_not->second + "; the packet is held back and dropped"
        : explanation.policy.acquire
            ? "no SA is there yet: the packet waits and the tunnel is brought up"
            : "no SA is there: the packet is dropped (cygnet up " + explanation.policy.connection + ")");
  }
  return report;
}

control::DropsReport IkeProcess::make_drops(const sadb::Statistics& s) const {
  control::DropsReport out{s.drops, s.packets_out, s.bytes_out, s.packets_in, s.bytes_in, s.bypassed, s.acquires};
  // These never reach the engine: the packet filter refuses them.
  out.drops[static_cast<std::size_t>(DropReason::kPlainTextRefused)] += clear_text_.packets;
  return out;
}

control::KeysReport IkeProcess::make_keys(const sadb::Dump& dump) const {
  control::KeysReport report;
  for (const auto& sa : dump.sas) {
    if (auto line = control::wireshark_esp_sa(sa.spec)) {
      report.esp_sa.push_back(std::move(*line));
    }
  }
  for (const auto& keys : endpoint_->export_keys()) {
    if (auto line = control::wireshark_ikev2(
            {keys.spi_i, keys.spi_r, keys.sk_ei, keys.sk_er, keys.sk_ai, keys.sk_ar, keys.algorithms})) {
      report.ikev2_decryption_table.push_back(std::move(*line));
    }
  }
  return report;
}

control::CertsReport IkeProcess::make_certs() const {
  return report_certificates({.credentials = configuration_.conf.credentials,
                              .connections = connections_,
                              .fetched = verifier_->fetched(),
                              .held_keys = keys_.held(),
                              .now = clock_.wall_seconds(),
                              .token_keys = tokens_.held()});
}

void IkeProcess::watch_certificates(Duration after) {
  static constexpr Duration kDaily = std::chrono::hours(24);
  if (certificates_timer_ != 0) loop_.cancel(certificates_timer_);
  certificates_timer_ = loop_.after(after, [this] {
    certificates_timer_ = 0;
    const auto certs = make_certs();
    for (const auto& warning : certificate_warnings(certs)) log_.write(warning);
    // When one ends, not within a day of it.
    const auto next = next_certificate_warning_s(certs);
    watch_certificates(next == 0 ? kDaily : std::min<Duration>(kDaily, std::chrono::seconds(next)));
  });
}

control::DoctorFacts IkeProcess::make_facts(control::StatusReport status, control::DropsReport drops) const {
  const auto& setup = configuration_.conf.setup;
  control::DoctorFacts facts;
  for (const auto& process : processes_) {
    facts.processes.push_back({process.role, static_cast<std::int64_t>(process.pid), process.restarts});
  }
  facts.devices = device_names(setup);
  facts.ike_port = setup.ike_port;
  facts.nat_port = setup.nat_port;
  facts.route_table = setup.route_table;
  facts.rule_priority = setup.rule_priority;
  facts.fwmark = setup.fwmark;
  facts.routes = routes_.facts();
  for (const auto& d : configuration_.conf.diagnostics) {
    facts.config_warnings.push_back(config::to_line(d));
  }
  facts.config_warnings.insert(facts.config_warnings.end(), secrets_warnings_.begin(), secrets_warnings_.end());
  facts.status = std::move(status);
  facts.drops = drops;
  facts.certs = make_certs();
  return facts;
}

}  // namespace cygnet::daemon
