// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/ike_process.h"

#include <algorithm>
#include <csignal>
#include <iterator>

#include "daemon/ike_role/certificates.h"
#include "daemon/ike_role/ike_role.h"
#include "daemon/privileges.h"
#include "io/log_sink.h"
#include "io/process.h"
#include "sadb/kernel/terms.h"
#include "sadb/kernel/translate.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kSoon = std::chrono::seconds(1);       // keys has said by then which private keys there are
constexpr Duration kDrainTime = std::chrono::seconds(1);  // a queue of packets is empty by then
constexpr Duration kFirstAnswers = std::chrono::milliseconds(500);  // most names are known by then

}  // namespace

IkeProcess::IkeProcess(Options options, Logger& log) : options_(std::move(options)), log_(log) {}

IkeProcess::~IkeProcess() {
  for (const auto& socket : sockets_) {
    loop_.unwatch(socket.fd.get());
  }
}

int IkeProcess::run() {
  (void)std::signal(SIGPIPE, SIG_IGN);
  started_ = clock_.monotonic();
  engine_.set_event_handler([this](const sadb::Event& event) { on_engine_event(event); });
  for (auto* client : {&first_engine_, &kernel_engine_}) {
    client->set_batch_handler([this] {
      if (!ending_) pump_soon();
    });
  }
  monitor_ = std::make_unique<io::Channel>(
      loop_, io::UniqueFd(io::kInheritedChannel),
      [this](io::Message message) { on_monitor_message(std::move(message)); }, [this] { loop_.stop(); });
  loop_.run();
  puzzles_wanted_ = false;
  return status_;
}

void IkeProcess::fail_start(const std::string& why) {
  log_.error("", why);
  status_ = 1;
  loop_.stop();
}

void IkeProcess::tell_monitor(const ToMonitor& message) {
  send_network_requests();
  (void)monitor_->send(encode(message));
}

// The monitor has logged it, and tries again what the kernel refused. Whoever waits for an answer is told as well.
void IkeProcess::on_network_done(const NetworkDone& done) {
  on_unplaced(routes_.on_done(done));
  for (auto& next : ordered_) {
    // One that was not done has its reason.
    const bool meant = next.client != 0 && next.network > network_done_ && !done.failures.empty() && next.answer.ok;
    if (!meant) continue;
    auto& message = next.answer.message;
    message += (message.empty() ? "" : "\n") +
               ("not all of the network is set: " + done.failures.back().why + " (see the log)");
  }
  network_done_ += done.count;
  ask_what_may_be_asked();
  pump_soon();
}

void IkeProcess::send_network_requests() {
  const auto all = std::exchange(network_requests_, {});
  for (std::size_t first = 0; first < all.size(); first += kMaxRequestsTogether) {
    const auto some = std::span(all).subspan(first, std::min(kMaxRequestsTogether, all.size() - first));
    (void)monitor_->send(encode(ToMonitor{NetworkRequests{{some.begin(), some.end()}}}));
  }
}

void IkeProcess::on_monitor_message(io::Message message) {
  auto decoded = decode_from_monitor(message.bytes);
  if (!decoded) {
    log_.warning("", decoded.error().message);
    return;
  }
  if (const auto* start = std::get_if<StartIke>(&*decoded)) {
    if (auto ok = on_start(*start, std::move(message.fds)); !ok) {
      fail_start(ok.error().message);
    }
  } else if (std::holds_alternative<NewPeer>(*decoded) && message.fds.size() == 1 && endpoint_ == nullptr) {
    first_engine_.attach(std::move(message.fds[0]));
    engine_.query_sas(true, [this](Result<sadb::Dump> dump) { on_engine_state(std::move(dump)); });
  } else if (std::holds_alternative<KernelPeer>(*decoded) && message.fds.size() == 1 && endpoint_ == nullptr) {
    kernel_engine_.attach(std::move(message.fds[0]));
  } else if (std::holds_alternative<KeysPeer>(*decoded) && message.fds.size() == 1) {
    keys_.attach(std::move(message.fds[0]));
  } else if (std::holds_alternative<TokenPeer>(*decoded) && message.fds.size() == 1) {
    tokens_.attach(std::move(message.fds[0]));
  } else if (const auto* fresh = std::get_if<NewConfiguration>(&*decoded)) {
    on_new_configuration(*fresh, message.fds);
  } else if (const auto* network = std::get_if<NetworkDone>(&*decoded)) {
    on_network_done(*network);
  } else if (const auto* processes = std::get_if<Processes>(&*decoded)) {
    processes_ = processes->list;
  } else if (const auto* clear_text = std::get_if<ClearTextRefused>(&*decoded)) {
    clear_text_ = *clear_text;
  } else if (const auto* pools = std::get_if<PoolRoutes>(&*decoded)) {
    pool_routes_ = *pools;
  } else if (const auto* links = std::get_if<CoveredLinks>(&*decoded)) {
    covered_links_ = *links;
  } else if (std::holds_alternative<NetworkChanged>(*decoded)) {
    on_network_changed();
  } else if (std::holds_alternative<ShutDown>(*decoded)) {
    end();
  }
}

Result<void> IkeProcess::on_start(const StartIke& start, std::vector<io::UniqueFd> fds) {
  if (fds.size() != start.sockets.size() + 3) {
    return fail("the monitor passed other descriptors than it said");
  }
  start_ = start;
  auto files = read_bundle(fds);
  auto loaded = files ? load(*files) : std::unexpected(files.error());
  if (!loaded) {
    return std::unexpected(loaded.error());
  }
  configuration_.conf = std::move(*loaded);
  if (auto taken = take_interfaces(start_.engines, configuration_.conf); !taken) return taken;
  if (start_.engines.both()) {
    engine_.split([this](const std::string& connection) { return kernels_.contains(connection); });
  }
  use_engines();
  use_log_level();
  take_over_leases(fds[2]);
  for (std::size_t i = 0; i < start.sockets.size(); ++i) {
    const auto& s = start.sockets[i];
    sockets_.push_back({std::move(fds[i + 3]), s.kind, s.family, s.port});
  }
  auto netlink = io::RouteSocket::open();
  if (!netlink) {
    return std::unexpected(netlink.error());
  }
  hosts_ = std::make_unique<Hosts>(loop_, names_pool_, std::move(*netlink), configuration_.conf.setup);
  if (auto dropped = drop_privileges(options_.user); !dropped) {
    return dropped;
  }
  if (auto confined = confine(Confinement::kIke, options_.allow_unconfined, log_); !confined) {
    return confined;
  }
  verifier_ = std::make_unique<Verifier>(loop_, pool_, clock_, log_);
  control_ = std::make_unique<ControlServer>(
      loop_, std::move(fds[1]),
      [this](ClientId client, const control::Request& request) { on_request(client, request); },
      [this](ClientId client) { on_client_gone(client); });
  return {};
}

Result<BundledFiles> IkeProcess::read_bundle(const std::vector<io::UniqueFd>& fds) {
  auto text =
      fds.empty() || !fds[0] ? fail("no configuration arrived") : io::read_memory_file(fds[0].get(), kMaxBundle);
  if (!text) {
    return std::unexpected(text.error());
  }
  return BundledFiles::from_text(*text);
}

Result<config::LoadedConfiguration> IkeProcess::load(BundledFiles& files) {
  auto loaded = reloader_.load(start_.config_path, files);
  if (!loaded.ok()) {
    return fail(config::to_string(loaded.diagnostics));
  }
  return loaded;
}

// What an earlier ike left is adopted when it is known where its peers are: its policies are there still. Where there
// is nothing of that kind no policy waits for a name.
void IkeProcess::on_engine_state(Result<sadb::Dump> dump) {
  hosts_->on_changed([this] {
    if (!begun_ || ending_) return;
    apply_configuration();
    look_at_routes_again();
    pump();
  });
  if (!dump || (dump->sas.empty() && dump->checkpoints.empty())) {
    adopt_and_begin(std::move(dump));
    if (!begun_) return;
    look_up_names(configuration_.conf.connections, [this] { watch_sockets(); });
    // A peer that calls while its name is being asked for is heard a moment later, instead of being refused.
    loop_.after(kFirstAnswers, [this] { watch_sockets(); });
    return;
  }
  hosts_->resolve(configuration_.conf.connections, [this, dump = std::move(dump)]() mutable {
    adopt_and_begin(std::move(dump));
    if (begun_) watch_sockets();
  });
}

// The engine's state first, then the configuration, then both together: nothing that runs is touched unless the
// configuration says so.
void IkeProcess::adopt_and_begin(Result<sadb::Dump> dump) {
  if (begun_ || ending_) {
    return;
  }
  if (!dump) {
    fail_start("cannot learn what the engine holds: " + dump.error().message);
    return;
  }
  begun_ = true;
  verifier_->on_own_status([this](std::map<Bytes, Bytes> responses) {
    if (endpoint_ != nullptr) endpoint_->use_status_responses(std::move(responses));
  });
  ike::EndpointSettings settings{
      .setup = configuration_.conf.setup, .addresses = &address_pools_, .crash_secret = start_.crash_secret};
  if (start_.engines.both()) {
    settings.in_kernel = [this](const model::Connection& c) { return daemon::in_kernel(start_.engines, c); };
  }
  endpoint_ = std::make_unique<ike::IkeEndpoint>(std::move(settings), random_);
  std::vector<model::SaSpec> sas;
  for (const auto& sa : dump->sas) {
    sas.push_back(sa.spec);
    children_[sa.spec.child] = {sa.spec.connection, sa.spec.child_name, sa.spec.device};
  }
  recall_names(sas);
  policies_.adopt(dump->policies, sas);
  apply_configuration();
  endpoint_->adopt(clock_.monotonic(), dump->checkpoints, sas);
  // Before the routes: they lead from addresses that the peer assigned.
  pump();
  for (const auto& policy : dump->policies) {
    if (const auto* kept = policies_.find(policy.id)) {
      add_routes(*kept);
    }
  }
  if (!sas.empty()) {
    log_.notice("", "adopted " + std::to_string(sas.size()) + " SAs that the engine kept");
  }
  pump();
  tell_monitor(Settled{});
  tell_monitor(Ready{});
  look_up_names_later();
  watch_certificates(kSoon);
}

// A resolver that does not answer now is no reason to give up tunnels that are up.
void IkeProcess::recall_names(const std::vector<model::SaSpec>& sas) {
  std::unordered_map<std::string_view, const model::Connection*> by_name;
  for (const auto& connection : configuration_.conf.connections) by_name.emplace(connection.name, &connection);
  for (const auto& sa : sas) {
    const auto at = by_name.find(sa.connection);
    if (at != by_name.end() && sa.direction == model::Direction::kOutbound) {
      hosts_->recall(*at->second, sa.local.address, sa.remote.address);
    }
  }
}

void IkeProcess::use_log_level() {
  const auto level = configuration_.conf.setup.log_level;
  if (auto* terminal = dynamic_cast<io::StderrLogger*>(&log_)) {
    terminal->set_level(level);
  } else if (auto* syslog = dynamic_cast<io::SyslogLogger*>(&log_)) {
    syslog->set_level(level);
  }
}

bool IkeProcess::in_kernel(const std::string& connection) const {
  return start_.engines.both() ? kernels_.contains(connection) : start_.engines.kernel;
}

void IkeProcess::use_engines() {
  if (!start_.engines.both()) return;
  kernels_.clear();
  for (const auto& connection : configuration_.conf.connections) {
    if (daemon::in_kernel(start_.engines, connection)) kernels_.insert(connection.name);
  }
}

bool IkeProcess::wants_routes(const model::PolicySpec& policy) const {
  if (!in_kernel(policy.connection)) return true;
  const auto* child = find_child(policy.connection, policy.child_name);
  if (child == nullptr) return sadb::kernel::leads_through_device(policy, false);
  auto whole = policy;
  sadb::kernel::apply_terms(*child, whole);
  return sadb::kernel::leads_through_device(whole, child->interface_number != 0);
}

void IkeProcess::move_policies() {
  if (!start_.engines.both()) return;
  for (const auto* policy : policies_.all()) {
    // One in both is still on its way, or was refused.
    if (engine_.is_elsewhere(*policy) || engine_.is_in_both(policy->id)) install_policy(*policy);
  }
}

void IkeProcess::install_policy(const model::PolicySpec& policy) {
  auto whole = policy;
  if (const auto* child = find_child(policy.connection, policy.child_name)) sadb::kernel::apply_terms(*child, whole);
  const bool moves = engine_.is_elsewhere(policy) || engine_.is_in_both(policy.id);
  if (!start_.engines.both()) {
    engine_.install_policy(whole, or_log("the engine did not install a policy", policy.connection));
  } else {
    const auto move = moves ? next_move_++ : 0;
    if (moves) moves_[policy.id] = move;
    engine_.install_policy(whole, [this, id = policy.id, connection = policy.connection, move,
                                   number = engines_.ask()](const Result<void>& done) {
      log_failed(done, "the engine did not install a policy", connection);
      if (done && move != 0) on_moved(id, move);
      engines_.acknowledge(number);
      pump_soon();
    });
  }
  if (!moves) add_routes(policy);
}

void IkeProcess::on_moved(model::PolicyId id, std::uint64_t move) {
  const auto* policy = policies_.find(id);
  const auto latest = moves_.find(id);
  // It has moved on, or is gone, since that was asked for.
  if (policy == nullptr || latest == moves_.end() || latest->second != move) return;
  // A route that both engines need stays where it is.
  if (wants_routes(*policy)) {
    add_routes(*policy);
  } else {
    routes_.remove(*policy);
  }
  leaving_.push_back({.policy = *policy, .move = move, .engine = 0, .network = network_asked_, .at = {}});
}

void IkeProcess::remove_policy(const model::PolicySpec& policy) {
  moves_.erase(policy.id);
  // Another one of the connection may take its place, in the other engine: the two do not wait for each other.
  if (start_.engines.both() && (engine_.is_elsewhere(policy) || engine_.is_in_both(policy.id))) {
    leaving_.push_back({.policy = policy, .move = 0, .engine = engines_.asked(), .network = {}, .at = {}});
    return;
  }
  routes_.remove(policy);
  engine_.remove_policy(policy.id, or_log("the engine did not remove a policy", policy.connection));
}

void IkeProcess::let_moved_go() {
  std::erase_if(leaving_, [&](Leaving& next) {
    if (!engines_.has_all_to(next.engine)) return false;
    if (!next.network) next.network = network_asked_;
    if (*next.network > network_done_) return false;
    if (!next.at) {
      // Packets may be in the queue of our own engine's device, and another policy there may say that they are clear.
      next.at = clock_.monotonic() + (in_kernel(next.policy.connection) ? kDrainTime : Duration{});
      if (*next.at > clock_.monotonic()) loop_.at(*next.at, [this] { pump_soon(); });
    }
    if (*next.at > clock_.monotonic()) return false;
    const auto id = next.policy.id;
    const auto done = or_log("the engine did not remove a policy", next.policy.connection);
    if (next.move == 0) {
      routes_.remove(next.policy);
      engine_.acquire_failed(id, {});
      engine_.remove_policy(id, done);
    } else if (const auto latest = moves_.find(id); latest != moves_.end() && latest->second == next.move) {
      moves_.erase(latest);
      engine_.leave_behind(id, done);
    }
    return true;
  });
}

void IkeProcess::apply_configuration() {
  own_addresses_ = hosts_->own_addresses();
  auto oriented = hosts_->orient(configuration_.conf.connections);
  const auto stood = [&](const model::Connection& connection) {
    const auto* before = find_connection(connection.name);
    return before != nullptr && before->local.host.address == connection.local.host.address &&
           before->remote.host.address == connection.remote.host.address;
  };
  auto ambiguous = config::find_ambiguous_oriented(oriented.connections, stood);
  some_ambiguous_ = !ambiguous.empty();
  oriented.set_aside(ambiguous);
  note_unusable(oriented);
  unusable_ = std::move(oriented.unusable);
  const auto holding = oriented.holding();
  waiting_connections_.clear();
  for (auto& connection : oriented.waiting) waiting_connections_.emplace(connection.name, std::move(connection));
  connections_ = std::move(oriented.connections);
  connection_places_.clear();
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    connection_places_.emplace(connections_[i].name, i);
  }
  use_waiting();
  use_engines();
  apply(policies_.configure(holding));
  refuse_unused_addresses();
  move_policies();
  find_askers();
  verifier_->use(configuration_.conf.credentials);
  verifier_->use_own(own_certificates(configuration_.conf.credentials, connections_));
  endpoint_->configure(clock_.monotonic(), connections_, configuration_.conf.credentials);
  default_sources_ = hosts_->default_sources();
  endpoint_->on_local_addresses(clock_.monotonic(), own_addresses_);
}

// Nobody else gets what a connection names for its peer because it cannot be used yet.
void IkeProcess::use_waiting() {
  std::vector<model::Connection> waiting;
  waiting.reserve(waiting_connections_.size());
  for (const auto& [name, connection] : waiting_connections_) waiting.push_back(connection);
  endpoint_->use_waiting(waiting);
  if (waiting.empty()) return address_pools_.pools().configure(connections_, own_addresses_);
  waiting.insert(waiting.begin(), connections_.begin(), connections_.end());
  address_pools_.pools().configure(waiting, own_addresses_);
}

void IkeProcess::on_network_changed() {
  if (!begun_ || ending_) {
    return;
  }
  auto ways_out = hosts_->default_sources();
  if (hosts_->own_addresses() != own_addresses_ || ways_out != default_sources_) {
    log_.info("network", "addresses or the default route of this machine have changed");
    apply_configuration();
    look_at_routes_again();
    pump();
    // There may be somebody to ask now.
    look_up_names(configuration_.conf.connections);
  }
}

void IkeProcess::end() {
  if (std::exchange(ending_, true)) {
    return;
  }
  if (endpoint_) {
    // Tells the peers; what else it wants done ends with this process and the engine.
    endpoint_->shut_down(clock_.monotonic());
    pump();
    send_leases();
  }
  loop_.post([this] { loop_.stop(); });
}

const model::Connection* IkeProcess::find_connection(const std::string& name) const {
  const auto place = connection_places_.find(name);
  return place == connection_places_.end() ? nullptr : &connections_[place->second];
}

const model::Connection* IkeProcess::find_configured(const std::string& name) const {
  const auto waiting = waiting_connections_.find(name);
  return waiting == waiting_connections_.end() ? find_connection(name) : &waiting->second;
}

const model::Child* IkeProcess::find_child(const std::string& connection, const std::string& child) const {
  const auto* c = find_configured(connection);
  return c == nullptr ? nullptr : c->find_child(child);
}

int run_ike_role(const Options& options, Logger& log) {
  // Before there are threads.
  io::set_process_name("cygnetd-ike");
  io::work_in_batches();
  return IkeProcess(options, log).run();
}

}  // namespace cygnet::daemon
