// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/monitor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "control/messages.h"
#include "daemon/monitor/crash_secret.h"
#include "daemon/monitor/engine_choice.h"
#include "daemon/monitor/own_directory.h"
#include "daemon/monitor/tokens.h"
#include "daemon/privileges.h"
#include "io/clock.h"
#include "io/errno_text.h"
#include "io/process.h"

namespace cygnet::daemon {

namespace {

PassedSocket describe(const io::OuterSocket& socket) { return {socket.kind, socket.family, socket.port}; }

}  // namespace

Monitor::Monitor(Options options, Logger& log)
    : options_(std::move(options)), log_(log), resolver_(loop_, {.state_dir = options_.state_dir}, log_) {}

int Monitor::run(const std::function<void()>& on_started) {
  io::set_process_name("cygnetd-monitor");
  if (auto started = start(); !started) {
    if (options_.foreground) {
      log_.error("monitor", started.error().message);
    } else {
      (void)std::fprintf(stderr, "cygnetd: %s\n", started.error().message.c_str());
      log_.error("monitor", started.error().message);
    }
    if (network_) {
      network_->close();
    }
    return 1;
  }
  if (on_started) {
    on_started();
  }
  loop_.run();
  return 0;
}

Result<void> Monitor::start() {
  if (::geteuid() != 0) {
    return fail(
        "cygnetd must be started as root (it gives its privileges up where it can): use sudo, or the systemd unit");
  }
  auto loaded = read_configuration();
  if (!loaded.configuration.ok()) {
    (void)std::fputs(loaded.configuration.problems().c_str(), stderr);
    return fail("the configuration has errors; nothing was started. Check it with: cygnetd --check --config " +
                options_.config);
  }
  const bool wants_token = !loaded.tokens.empty();
  // What is to come from a token is missing yet.
  if (!wants_token) tell_warnings(loaded.configuration);
  warn_about_secrets_file();
  if (!user_exists(options_.user)) {
    log_.warning(
        "monitor",
        "there is no user '" + options_.user +
            "': ike, keys and engine run as nobody. Make one with: adduser --system --group --no-create-home " +
            options_.user);
  }
  if (auto made = make_own_directory(options_.run_dir, "the run directory"); !made) return made;
  if (auto made = make_own_directory(options_.state_dir, "the state directory"); !made)
    log_.warning("monitor", made.error().message);
  io::SystemRandom random;
  if (auto secret = load_crash_secret(options_.state_dir, random)) {
    crash_secret_ = std::move(*secret);
  } else {
    log_.warning("monitor", secret.error().message);
  }
  auto signals = io::open_signals({SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE});
  if (!signals) {
    return std::unexpected(signals.error());
  }
  signals_ = std::move(*signals);
  auto control = io::listen_stream(path(std::string(control::kSocketName)), 0600);
  if (!control) {
    return std::unexpected(control.error());
  }
  control_ = std::move(*control);
  const auto engine = choose_engine(loaded.configuration.conf, log_);
  if (!engine) return std::unexpected(engine.error());
  engine_kind_ = *engine;
  kernel_ = engine_kind_ != model::EngineKind::kUser;
  note_in_kernel(engine_kind_, path(std::string(kInKernelFile)), log_);
  if (auto listening = listen_to_programs(); !listening) {
    return listening;
  }
  network_ = std::make_unique<Network>(loaded.configuration.conf.setup, path("state"), log_,
                                       kernel_ ? model::EngineThreads{} : loaded.configuration.conf.threads, kernel_);
  if (auto opened = network_->open(); !opened) {
    return opened;
  }
  leases_.open(options_.state_dir);
  resolver_.clean_up_earlier();
  bundle_ = std::move(loaded.bundle);
  loop_.watch(signals_.get(), [this] { on_signal(); });
  if (auto changes = io::open_route_changes(network_->ours().own_port)) {
    route_changes_ = std::move(*changes);
    loop_.watch(route_changes_.get(), [this] { on_route_changes(); });
  }
  use_bounds(loaded);
  watch_clear_text();
  (void)io::write_pid_file(path("monitor.pid"), ::getpid());
  start_keys_with(std::move(loaded.secrets));
  if (wants_token) {
    wait_for_tokens(loaded.tokens);
  } else {
    start_engine();
  }
  return {};
}

void Monitor::tell_warnings(const Configuration& configuration) {
  for (const auto* diagnostics : {&configuration.conf.diagnostics, &configuration.secrets.diagnostics}) {
    for (const auto& d : *diagnostics) {
      log_.warning("config", config::to_line(d));
    }
  }
}

Monitor::Loaded Monitor::read_configuration(bool again) {
  config::DiskFiles disk;
  FilesAndTokens files(disk, on_tokens_);
  RecordingFiles conf(files);
  RecordingFiles secrets(disk);
  Loaded out;
  if (again) out.change = reloader_.reload(options_.config, conf);
  const bool in_part = out.change.has_value();
  if (in_part) {
    out.configuration.conf.setup = reloader_.setup();
    out.configuration.conf.pkcs11_module = named_tokens_.module;
  } else {
    out.configuration.conf = reloader_.load(options_.config, conf);
  }
  out.configuration.secrets = config::load_ipsec_secrets(options_.secrets, secrets);
  out.bundle = conf.to_text();
  auto text = secrets.to_text();
  auto file = io::make_memory_file("cygnet-secrets", text);
  // Here secrets are read and forgotten: what of them is in force, only keys holds.
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  out.tokens = token_work_of(out.configuration);
  if (in_part) {
    // What changed names no certificate.
    out.tokens.certificates = named_tokens_.certificates;
  } else if (out.configuration.conf.ok()) {
    named_tokens_ = {.module = out.tokens.module, .keys = {}, .certificates = out.tokens.certificates};
  }
  out.configuration.secrets.secrets.clear();
  out.configuration.secrets.private_keys.clear();
  if (!file) {
    log_.error("monitor", file.error().message);
  } else {
    out.secrets = std::move(*file);
  }
  return out;
}

void Monitor::warn_about_secrets_file() {
  struct stat info{};
  if (::stat(options_.secrets.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    log_.warning("config", options_.secrets + " can be read by others than its owner: chmod 600 " + options_.secrets);
  }
}

Result<void> Monitor::start_process(Child& child) {
  auto pair = io::seqpacket_pair();
  if (!pair) {
    return std::unexpected(pair.error());
  }
  const std::string role = &child == &engine_ && kernel_ ? "kernel" : child.role;
  std::vector<std::string> arguments{"cygnetd", "--role", role, "--user", options_.user};
  if (options_.foreground) {
    arguments.emplace_back("--foreground");
  }
  if (options_.allow_unconfined) {
    arguments.emplace_back("--allow-unconfined");
  }
  const auto pid = io::spawn_self(arguments, pair->second);
  if (!pid) {
    return std::unexpected(pid.error());
  }
  child.pid = *pid;
  child.ready = false;
  child.started = io::SystemClock::now();
  // What the channel says last is read before the end of the process is acted upon; its closing says nothing new.
  child.channel = std::make_unique<io::Channel>(
      loop_, std::move(pair->first), [this, &child](const io::Message& message) { on_message(child, message); }, [] {});
  (void)io::write_pid_file(path(child.role + ".pid"), *pid);
  return {};
}

void Monitor::send(Child& child, const FromMonitor& message, std::vector<io::UniqueFd> fds) {
  if (child.channel) {
    (void)child.channel->send(encode(message), std::move(fds));
  }
}

void Monitor::start_engine() {
  if (auto started = start_process(engine_); !started) {
    log_.error("monitor", started.error().message);
    begin_shut_down();
    return;
  }
  network_->on_engine_gone();
  settle_gate();
  for (const auto& worker : network_->workers()) {
    std::vector<io::UniqueFd> fds;
    for (const auto* list : {&worker.devices, &worker.sockets}) {
      for (const auto& fd : *list) {
        fds.push_back(fd.duplicate());
      }
    }
    send(engine_, EngineWorker{}, std::move(fds));
  }
  const auto& setup = network_->setup();
  StartEngine start{.log_level = setup.log_level,
                    .cpus = network_->engine_threads().cpus,
                    .busy_poll_us = network_->engine_threads().busy_poll_us,
                    .crypto_threads = network_->engine_threads().crypto_count,
                    .crypto_percent = network_->engine_threads().crypto_percent,
                    .crypto_cpus = network_->engine_threads().crypto_cpus,
                    .nat_port = setup.nat_port,
                    .mark = setup.fwmark,
                    .language = engine_kind_};
  std::vector<io::UniqueFd> fds;
  for (const auto& device : network_->devices()) {
    start.devices.push_back(device.name);
    fds.push_back(device.fd.duplicate());
  }
  const auto pass = [&](const io::OuterSocket& socket) {
    start.sockets.push_back(describe(socket));
    fds.push_back(socket.fd.duplicate());
  };
  for (const auto* socket : network_->engine_sockets()) pass(*socket);
  for (const auto& socket : network_->sockets()) {
    // The kernel is told to let IKE through.
    if (kernel_ && socket.kind == io::OuterKind::kUdp && socket.port == setup.ike_port) pass(socket);
  }
  if (!kernel_) {
    fds.push_back(pfkey_.duplicate());
    fds.push_back(xfrm_.duplicate());
  }
  send(engine_, start, std::move(fds));
}

void Monitor::start_ike() {
  if (auto started = start_process(ike_); !started) {
    log_.error("monitor", started.error().message);
    begin_shut_down();
    return;
  }
  engine_lost_ = false;
  network_done_ = {.request = 0, .count = 0, .error = {}};
  network_->begin_sync();
  resolver_.begin_sync();
  StartIke start{options_.config, options_.secrets, options_.run_dir, {}, crash_secret_, kernel_};
  std::vector<io::UniqueFd> fds;
  fds.push_back(bundle_file());
  fds.push_back(control_.duplicate());
  fds.push_back(leases_file());
  for (const auto& socket : network_->sockets()) {
    if (socket.kind == io::OuterKind::kUdp) {
      start.sockets.push_back(describe(socket));
      fds.push_back(socket.fd.duplicate());
    }
  }
  send(ike_, start, std::move(fds));
  connect_ike_to(engine_, NewPeer{});
  if (keys_.pid != 0) {
    connect_ike_to(keys_, KeysPeer{});
  }
  if (token_.pid != 0) {
    connect_ike_to(token_, TokenPeer{});
  }
  send_processes();
  clear_text_told_ = {};
  tell_clear_text();
}

// Secrets are read anew: the monitor keeps none. A fault in the files by now is no reason to go without the rest.
void Monitor::start_keys_again() {
  auto loaded = read_configuration();
  if (!loaded.configuration.secrets.ok()) {
    log_.error("config", config::to_string(loaded.configuration.secrets.diagnostics));
  }
  start_keys_with(std::move(loaded.secrets));
}

void Monitor::start_keys_with(io::UniqueFd secrets) {
  if (auto started = start_process(keys_); !started) {
    log_.error("monitor", started.error().message);
    begin_shut_down();
    return;
  }
  std::vector<io::UniqueFd> fds;
  fds.push_back(std::move(secrets));
  send(keys_, StartKeys{options_.secrets}, std::move(fds));
  if (ike_.pid != 0) {
    connect_ike_to(keys_, KeysPeer{});
    send_processes();
  }
}

void Monitor::connect_ike_to(Child& other, const FromMonitor& peer) {
  auto pair = io::seqpacket_pair();
  if (!pair) {
    log_.error("monitor", pair.error().message);
    return;
  }
  std::vector<io::UniqueFd> to_other;
  to_other.push_back(std::move(pair->first));
  send(other, peer, std::move(to_other));
  std::vector<io::UniqueFd> to_ike;
  to_ike.push_back(std::move(pair->second));
  send(ike_, peer, std::move(to_ike));
}

io::UniqueFd Monitor::bundle_file() {
  auto file = io::make_memory_file("cygnet-configuration", bundle_);
  if (!file) {
    log_.error("monitor", file.error().message);
    return {};
  }
  return std::move(*file);
}

io::UniqueFd Monitor::leases_file() {
  auto file = io::make_memory_file("cygnet-leases", encode_leases(leases_.leases()));
  if (!file) {
    log_.error("monitor", file.error().message);
    return {};
  }
  return std::move(*file);
}

void Monitor::send_processes() {
  Processes processes{{{"monitor", static_cast<std::uint64_t>(::getpid()), 0}}};
  for (const auto* child : {&ike_, &keys_, &token_, &engine_}) {
    if (child == &token_ && child->pid == 0) continue;
    processes.list.push_back({child->role, static_cast<std::uint64_t>(child->pid), child->restarts});
  }
  send(ike_, processes);
}

void Monitor::on_message(Child& from, const io::Message& message) {
  const auto decoded = decode_to_monitor(message.bytes);
  if (!decoded) {
    log_.warning(from.role, decoded.error().message);
    return;
  }
  if (std::holds_alternative<Ready>(*decoded)) {
    from.ready = true;
    if (&from == &engine_ && ike_.pid == 0) {
      start_ike();
    } else if (&from == &ike_) {
      io::notify_service_manager("READY=1");
    }
    return;
  }
  if (const auto* report = std::get_if<TokenReport>(&*decoded); report != nullptr && &from == &token_) {
    on_token_report(*report, message);
    return;
  }
  if (&from == &engine_) {
    network_->apply_for_engine(*decoded);
    settle_gate();
  }
  // Everything else is ike's to ask.
  if (&from != &ike_) {
    return;
  }
  if (const auto* requests = std::get_if<NetworkRequests>(&*decoded)) {
    on_network_requests(requests->list);
  } else if (const auto* changes = std::get_if<LeaseChanges>(&*decoded)) {
    leases_.on_changes(*changes);
  } else if (const auto* asked = std::get_if<ResolverRequest>(&*decoded)) {
    // A name that nobody has configured would be kept for ever.
    if (asked->servers.empty() || bounds_.contains(asked->connection))
      resolver_.request(*asked, network_->setup().devices);
  } else if (std::holds_alternative<Settled>(*decoded)) {
    network_->end_sync();
    settle_gate();
    resolver_.end_sync();
  } else if (std::holds_alternative<WantReload>(*decoded)) {
    reload();
  } else if (std::holds_alternative<WantShutDown>(*decoded)) {
    begin_shut_down();
  }
}

void Monitor::on_network_requests(const std::vector<NetworkRequest>& requests) {
  if (requests.empty()) {
    return;
  }
  const bool first = network_done_.count == 0;
  for (const auto& error : network_->apply(requests)) {
    log_.warning("network", error.message);
    network_done_.error = error.message;
  }
  settle_gate();
  network_done_.request = requests.back().request;
  network_done_.count += static_cast<std::uint32_t>(requests.size());
  // One answer for all that came together.
  if (first) {
    loop_.post([this] { send(ike_, std::exchange(network_done_, {.request = 0, .count = 0, .error = {}})); });
  }
}

void Monitor::on_signal() {
  while (const auto signal = io::next_signal(signals_.get())) {
    if (*signal == SIGTERM || *signal == SIGINT) {
      begin_shut_down();
    } else if (*signal == SIGHUP) {
      reload();
    } else if (*signal == SIGCHLD) {
      while (const auto ended = io::reap_child()) {
        on_child_ended(ended->pid, ended->how, ended->clean);
      }
    }
  }
}

void Monitor::reload() {
  io::notify_service_manager("RELOADING=1");
  auto loaded = read_configuration(true);
  NewConfiguration message;
  std::vector<io::UniqueFd> fds;
  if (!loaded.configuration.ok()) {
    message.error = loaded.configuration.problems();
  } else {
    message.error =
        why_not_engine(loaded.change ? loaded.change->fresh : loaded.configuration.conf.connections, engine_kind_);
  }
  if (!message.error.empty()) {
    log_.error("config", "not reloaded, the old configuration stays: " + message.error);
  } else {
    warn_about_secrets_file();
    bundle_ = std::move(loaded.bundle);
    use_bounds(loaded);
    fds.push_back(bundle_file());
    for (const auto& d : loaded.configuration.secrets.diagnostics) {
      message.secrets_warnings.push_back(config::to_line(d));
    }
    // keys first: what ike is told of is there when it asks.
    std::vector<io::UniqueFd> secrets;
    secrets.push_back(std::move(loaded.secrets));
    send(keys_, NewConfiguration{}, std::move(secrets));
    if (token_.pid != 0) {
      tell_token(loaded.tokens);
    } else if (!loaded.tokens.empty()) {
      start_token_with(loaded.tokens);
    }
    const auto& now = loaded.configuration.conf.setup;
    const auto& was = network_->setup();
    if (now.devices != was.devices || now.ike_port != was.ike_port || now.nat_port != was.nat_port ||
        now.fwmark != was.fwmark || now.route_table != was.route_table || now.rule_priority != was.rule_priority ||
        now.unique_ids != was.unique_ids || now.engine != was.engine) {
      log_.warning("config",
                   "engine, devices, ports, mark, table, rule and uniqueids of config setup change only with a restart "
                   "of cygnetd");
    }
  }
  send(ike_, message, std::move(fds));
  io::notify_service_manager("READY=1");
}

}  // namespace cygnet::daemon
