// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/monitor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "config/setup_changes.h"
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
  return handing_over_ ? kHandedOver : 0;
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
  auto lock = lock_directory(options_.state_dir);
  if (!lock) {
    return fail("another cygnetd keeps its state in " + options_.state_dir +
                ": give this one a directory of its own with --state-dir");
  }
  state_lock_ = std::move(*lock);
  io::SystemRandom random;
  if (auto secret = load_crash_secret(options_.state_dir, random)) {
    crash_secret_ = std::move(*secret);
  } else {
    log_.warning("monitor", secret.error().message);
  }
  auto signals = io::open_signals({SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE});
  if (!signals) {
    return std::unexpected(signals.error());
  }
  signals_ = std::move(*signals);
  auto control = io::listen_stream(path(std::string(control::kSocketName)), 0600);
  if (!control) {
    return std::unexpected(control.error());
  }
  control_ = std::move(*control);
  const auto plan = choose_engines(loaded.configuration.conf, log_);
  if (!plan) return std::unexpected(plan.error());
  plan_ = *plan;
  if (auto taken = take_interfaces(plan_, loaded.configuration.conf); !taken) return taken;
  note_in_kernel(plan_, path(std::string(kInKernelFile)), log_);
  if (auto listening = listen_to_programs(); !listening) {
    return listening;
  }
  threads_ = loaded.configuration.conf.threads;
  network_ = std::make_unique<Network>(loaded.configuration.conf.setup, path("state"), log_,
                                       plan_.user ? threads_ : model::EngineThreads{}, plan_);
  if (const auto uid = uid_of(options_.user)) network_->set_asker(*uid);
  use_bounds(loaded);  // what is taken over must fit them
  if (auto opened = network_->open(); !opened) {
    return opened;
  }
  if (network_->engine_threads().esp_over_xdp) open_esp_path();
  leases_.open(options_.state_dir);
  resolver_.clean_up_earlier();
  loop_.watch(signals_.get(), [this] { on_signal(); });
  if (auto changes = io::open_route_changes(network_->ours().own_port)) {
    route_changes_ = std::move(*changes);
    loop_.watch(route_changes_.get(), [this] { on_route_changes(); });
  }
  use(loaded);
  watch_clear_text();
  (void)io::write_pid_file(path("monitor.pid"), ::getpid());
  start_keys_with(std::move(loaded.secrets));
  if (wants_token) {
    wait_for_tokens(loaded.tokens);
  } else {
    start_engines();
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
  // What the reloader remembers from here on is only read so far.
  in_force_ = false;
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
  const std::string role = &child == &engine_ && !plan_.user ? "kernel" : child.role;
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
  child.deaf = false;
  child.started = io::SystemClock::now();
  // What the channel says last is read before the end of the process is acted upon; its closing says nothing new.
  child.channel = std::make_unique<io::Channel>(
      loop_, std::move(pair->first), [this, &child](const io::Message& message) { on_message(child, message); }, [] {});
  (void)io::write_pid_file(path(child.role + ".pid"), *pid);
  return {};
}

void Monitor::send(Child& child, const FromMonitor& message, std::vector<io::UniqueFd> fds) {
  if (!child.channel || child.deaf) return;
  const bool whole = std::ranges::all_of(fds, [](const auto& fd) { return static_cast<bool>(fd); });
  if (!whole) {
    // It would wait for ever. Started again, it gets all of them.
    child.deaf = true;
    log_.error(child.role, "no descriptors are left for what the process is told: ending it");
    (void)::kill(child.pid, SIGKILL);
    return;
  }
  if (child.channel->send(encode(message), std::move(fds)) || !child.channel->open()) return;
  // So much waits for it that it has not read for a long time; without what is left out it would go on in the dark.
  if (child.pid == 0 || std::exchange(child.deaf, true)) return;
  log_.error(child.role, "the process does not read what it is told: ending it");
  (void)::kill(child.pid, SIGKILL);
}

void Monitor::start_ike() {
  // It may have been started by whatever came first; and without engines it has nothing to begin with.
  if (ike_.pid != 0 || !engines_ready()) return;
  if (auto started = start_process(ike_); !started)
    return start_again_later(ike_, started.error(), &Monitor::start_ike);
  engine_lost_ = false;
  network_done_ = {.request = 0, .count = 0, .failures = {}};
  network_->begin_sync();
  resolver_.begin_sync();
  StartIke start{options_.config, options_.secrets, options_.run_dir, {}, crash_secret_, plan_};
  std::vector<io::UniqueFd> fds;
  fds.push_back(bundle_file());
  fds.push_back(control_.duplicate());
  fds.push_back(leases_file());
  for (const auto& socket : network_->sockets()) {
    if (socket.kind == io::OuterKind::kUdp) {
      start.sockets.push_back(passed(socket));
      fds.push_back(socket.fd.duplicate());
    }
  }
  send(ike_, start, std::move(fds));
  if (plan_.both()) connect_ike_to(beside_, NewPeer{}, KernelPeer{});
  connect_ike_to(engine_, NewPeer{}, NewPeer{});
  if (keys_.pid != 0) {
    connect_ike_to(keys_, KeysPeer{}, KeysPeer{});
  }
  if (token_.pid != 0) {
    connect_ike_to(token_, TokenPeer{}, TokenPeer{});
  }
  send_processes();
  clear_text_told_ = {};
  tell_clear_text();
  pools_told_ = {};
  tell_pools();
  links_told_ = {};
  tell_covered_links();
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
  if (auto started = start_process(keys_); !started)
    return start_again_later(keys_, started.error(), &Monitor::start_keys_again);
  std::vector<io::UniqueFd> fds;
  fds.push_back(std::move(secrets));
  send(keys_, StartKeys{options_.secrets}, std::move(fds));
  if (ike_.pid != 0) {
    connect_ike_to(keys_, KeysPeer{}, KeysPeer{});
    send_processes();
  }
}

void Monitor::connect_ike_to(Child& other, const FromMonitor& for_other, const FromMonitor& for_ike) {
  auto pair = io::seqpacket_pair();
  if (!pair) {
    log_.error("monitor", pair.error().message);
    return;
  }
  std::vector<io::UniqueFd> to_other;
  to_other.push_back(std::move(pair->first));
  send(other, for_other, std::move(to_other));
  std::vector<io::UniqueFd> to_ike;
  to_ike.push_back(std::move(pair->second));
  send(ike_, for_ike, std::move(to_ike));
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
  for (const auto* child : {&ike_, &keys_, &token_, &engine_, &beside_}) {
    if ((child == &token_ || child == &beside_) && child->pid == 0) continue;
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
    if (&from == &engine_ || &from == &beside_) {
      on_engine_ready();
    } else if (&from == &ike_) {
      io::notify_service_manager("READY=1");
    }
    return;
  }
  if (const auto* report = std::get_if<TokenReport>(&*decoded); report != nullptr && &from == &token_) {
    on_token_report(*report, message);
    return;
  }
  if (const auto* wanted = std::get_if<WantNextHops>(&*decoded)) {
    if (&from == &engine_ && esp_path_) esp_path_->on_wanted(*wanted);
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
    // Who has not been told to ask its peer for an address has no resolver from it; a name that nobody has configured
    // would be kept for ever.
    const auto bounds = bounds_.find(asked->connection);
    if (asked->servers.empty() || (bounds != bounds_.end() && bounds->second.assigned_addresses))
      resolver_.request(*asked, network_->device_names());
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
  for (auto& failure : network_->apply(requests)) {
    if (failure.why.size() > kLongestFailure) failure.why.resize(kLongestFailure);
    network_done_.failures.push_back(std::move(failure));
  }
  settle_gate();
  tell_pools();
  network_done_.request = requests.back().request;
  network_done_.count += static_cast<std::uint32_t>(requests.size());
  // One answer for all that came together; failures are told at once, so that they fit a message.
  const auto answer = [this] {
    if (network_done_.count != 0) send(ike_, std::exchange(network_done_, {.request = 0, .count = 0, .failures = {}}));
  };
  if (!network_done_.failures.empty()) return answer();
  if (first) loop_.post(answer);
}

void Monitor::on_signal() {
  while (const auto signal = io::next_signal(signals_.get())) {
    if (*signal == SIGTERM || *signal == SIGINT) {
      handing_over_ = false;
      begin_shut_down();
    } else if (*signal == SIGUSR1) {
      handing_over_ = handing_over_ || !shutting_down_;
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

void Monitor::use(Loaded& loaded) {
  bundle_ = std::move(loaded.bundle);
  use_bounds(loaded);
  // Where both engines carry packets, all connections are looked at together.
  in_force_ = !plan_.both();
}

// Who carries what was decided at the start: what does not go with it is refused.
std::string Monitor::why_not(Loaded& loaded) const {
  if (!loaded.configuration.ok()) return loaded.configuration.problems();
  // A change of some connections leaves config setup as it is.
  if (loaded.change) {
    name_interfaces(plan_, loaded.change->fresh);
    return why_not_plan(plan_, loaded.change->fresh);
  }
  auto& conf = loaded.configuration.conf;
  if (auto taken = take_interfaces(plan_, conf); !taken) return taken.error().message;
  for (const auto& wanted : conf.setup.interfaces) {
    const auto& made = network_->setup().interfaces;
    if (std::ranges::find(made, wanted) == made.end()) {
      return "ipsec-interface=" + std::to_string(wanted.id) + ": " + wanted.name +
             " is made when cygnetd starts: restart it";
    }
  }
  const auto words = config::words_for_restart({network_->setup(), threads_}, {conf.setup, conf.threads});
  if (!words.empty()) {
    return "config setup says something else of " + words +
           " than when cygnetd was started, which only a restart of it puts into force (systemctl restart cygnet): "
           "restart it, or take that back and reload again";
  }
  return why_not_plan(plan_, conf.connections);
}

void Monitor::reload() {
  io::notify_service_manager("RELOADING=1");
  auto loaded = read_configuration(in_force_);
  NewConfiguration message;
  std::vector<io::UniqueFd> fds;
  message.error = why_not(loaded);
  if (!message.error.empty()) {
    log_.error("config", "not reloaded, the old configuration stays: " + message.error);
  } else {
    warn_about_secrets_file();
    use(loaded);
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
  }
  send(ike_, message, std::move(fds));
  io::notify_service_manager("READY=1");
}

}  // namespace cygnet::daemon
