// SPDX-License-Identifier: Apache-2.0
#pragma once

// The monitor: the one process with privileges, which talks to no network. It makes devices and sockets, starts ike and
// engine with copies of them, restarts what dies, sets routes on request, and tidies up at the end.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/log.h"
#include "config/reload.h"
#include "daemon/config_bundle.h"
#include "daemon/monitor/esp_path.h"
#include "daemon/monitor/lease_keeper.h"
#include "daemon/monitor/network.h"
#include "daemon/monitor/resolver.h"
#include "daemon/options.h"
#include "daemon/role_messages.h"
#include "daemon/token_role/token_work.h"
#include "io/event_loop.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {

class Monitor {
 public:
  Monitor(Options options, Logger& log);
  // What it ends with after SIGUSR1: for a service manager a failure, after which the next one is started.
  static constexpr int kHandedOver = 75;

  // Until SIGTERM, SIGINT or SIGUSR1. on_started is called once devices, sockets and the engine process are there. The
  // exit status.
  int run(const std::function<void()>& on_started = {});
  // cygnetd --clean-up: takes back what a killed one left, and ends. The exit status.
  int clean_up();

 private:
  // One process that the monitor keeps alive.
  struct Child {
    std::string role;
    pid_t pid = 0;
    std::unique_ptr<io::Channel> channel;
    std::uint64_t restarts = 0;
    Instant started{};
    Duration backoff{};
    bool ready = false;
    bool deaf = false;  // too much waits for it: it is being ended
  };
  struct Loaded {
    Configuration configuration;  // its secrets only say what is wrong with them: they are not kept
    std::string bundle;           // for ike
    io::UniqueFd secrets;         // bundle for keys
    TokenWork tokens;
    std::optional<config::ConfigurationChange> change;  // only this is different; configuration holds no connections
  };

  [[nodiscard]] Result<void> start();
  // again: what has not changed since the last time is not looked at once more.
  [[nodiscard]] Loaded read_configuration(bool again = false);
  // PF_KEY and NETLINK_XFRM for programs; with the kernel's IPsec both are the kernel's own.
  [[nodiscard]] Result<void> listen_to_programs();
  void warn_about_secrets_file();
  [[nodiscard]] Result<void> start_process(Child& child);
  // Both, where both carry packets: then our own is the engine, and the kernel's stands beside it.
  void start_engines();
  void start_engine();
  void open_esp_path();
  void start_kernel();
  [[nodiscard]] bool engines_ready() const;
  void on_engine_ready();
  void on_kernel_ended(const std::string& how);
  void start_ike();
  void start_keys_again();
  void start_keys_with(io::UniqueFd secrets);
  // The token process exists where the configuration names something on a token.
  void wait_for_tokens(const TokenWork& work);
  void start_token_again();
  void start_token_with(const TokenWork& work);
  void tell_token(const TokenWork& work);
  void on_token_report(const TokenReport& report, const io::Message& message);
  // What is on tokens is known now, or whoever asks them takes too long.
  void go_on_without_waiting();
  void tell_warnings(const Configuration& configuration);
  // A fresh socket pair between ike and another: one end is given to each, with these words.
  void connect_ike_to(Child& other, const FromMonitor& for_other, const FromMonitor& for_ike);
  [[nodiscard]] io::UniqueFd bundle_file();
  [[nodiscard]] io::UniqueFd leases_file();
  void send(Child& child, const FromMonitor& message, std::vector<io::UniqueFd> fds = {});
  void send_processes();

  void on_signal();
  void on_message(Child& from, const io::Message& message);
  void on_network_requests(const std::vector<NetworkRequest>& requests);
  void on_route_changes();
  void repair_network();
  void settle_gate();
  void watch_clear_text();
  void tell_clear_text();
  void tell_pools();
  void tell_covered_links();
  // Why what was read cannot be put into force; empty: it can.
  [[nodiscard]] std::string why_not(Loaded& loaded) const;
  // Puts it into force: for ike, when it starts, and what ike may ask for from now on.
  void use(Loaded& loaded);
  void use_bounds(const Loaded& loaded);
  void on_child_ended(pid_t pid, const std::string& how, bool clean);
  void restart_later(Child& child, void (Monitor::*how)());
  // It could not be started: no memory, no descriptor. To end for that would open the ways.
  void start_again_later(Child& child, const Error& why, void (Monitor::*how)());
  void reload();
  void begin_shut_down();
  void end_shut_down();
  [[nodiscard]] std::string path(const std::string& name) const { return options_.run_dir + "/" + name; }

  Options options_;
  Logger& log_;
  io::EventLoop loop_;
  io::UniqueFd state_lock_;
  io::UniqueFd signals_;
  io::UniqueFd route_changes_;
  io::UniqueFd control_;
  io::UniqueFd pfkey_;
  io::UniqueFd xfrm_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<EspPath> esp_path_;  // with esp-path=xdp
  config::Reloader reloader_;
  bool in_force_ = false;  // what reloader_ remembers: only then what is different from it is all that is new
  model::EngineThreads threads_;
  TokenWork named_tokens_;  // by the configuration, as last read
  LeaseKeeper leases_{loop_, log_};
  Resolver resolver_;
  Child engine_{.role = "engine"};  // our own, or the kernel's in its place
  Child beside_{.role = "kernel"};  // the kernel's, where both carry packets
  Child ike_{.role = "ike"};
  Child keys_{.role = "keys"};
  Child token_{.role = "token"};
  std::map<std::string, std::string> on_tokens_;  // certificates: URI to DER
  std::set<std::string> token_asked_;             // which of them
  bool token_awaited_ = false;                    // nothing else starts before
  bool told_left_out_ = false;
  std::string bundle_;
  SecretBytes crash_secret_;
  NetworkDone network_done_{.request = 0, .count = 0, .failures = {}};  // not yet told to ike
  std::map<std::string, NetworkBounds> bounds_;                         // of the connections there are
  ClearTextRefused clear_text_told_;
  bool held_told_ = false;
  PoolRoutes pools_told_;
  CoveredLinks links_told_;
  bool routes_dirty_ = false;
  bool addresses_changed_ = false;
  Duration look_took_{};  // at what changed
  RepairTimes repairs_;
  bool repair_awaited_ = false;
  bool settling_ = false;
  Instant next_settlement_{};  // of the packet filter, not before
  bool shutting_down_ = false;
  bool handing_over_ = false;  // what is in the kernel stays there for the next one
  EnginePlan plan_;
  bool engine_lost_ = false;  // ike says goodbye, then both start again
};

// What a socket is, for whom a copy of it is passed to.
[[nodiscard]] PassedSocket passed(const io::OuterSocket& socket);

// As a classic daemon: returns when the background process has started, or has not.
int run_monitor_in_background(const Options& options, Logger& log);

}  // namespace cygnet::daemon
