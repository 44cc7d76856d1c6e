// SPDX-License-Identifier: Apache-2.0
#pragma once

// The DNS servers that peers tell of, set on this machine while their connections are up, and taken back: at down, at
// the end, and after a kill by the next start or `cygnetd --clean-up`. Whichever is there is used:
//   systemd-resolved   servers and domains of the device, by resolvectl; names of other domains go where they went
//   resolvconf         a record of the device
//   /etc/resolv.conf   written in place; the original stands in the state directory meanwhile
// Programs run beside the loop: a slow one holds up nothing. Where one fails, its device is as it was before: half of
// it would send names where they do not belong.
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/role_messages.h"
#include "io/command.h"
#include "io/event_loop.h"

namespace cygnet::daemon {

struct ResolverPaths {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string resolved_dir = "/run/systemd/resolve";  // there: systemd-resolved runs
  std::string state_dir;
};

// What one device is to be asked for.
struct DeviceDns {
  std::vector<IpAddress> servers;
  std::vector<std::string> domains;
  bool everything = false;  // all names, not the domains' alone
  bool operator==(const DeviceDns&) const = default;
};

class Resolver {
 public:
  enum class Kind : std::uint8_t { kResolved, kResolvconf, kFile };
  // More connections than have DNS servers of their own anywhere: a bound for what a hostile ike could make us keep.
  static constexpr std::size_t kMostConnections = 256;

  Resolver(io::EventLoop& loop, ResolverPaths paths, Logger& log);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Takes back what an earlier one left.
  void clean_up_earlier();
  void request(const ResolverRequest& request, const std::vector<std::string>& devices);
  void begin_sync() { repeated_.clear(); }  // a new ike will ask for all it needs ...
  void end_sync();                          // ... has done so: the rest goes
  // False: that was no process of ours.
  bool on_child_ended(pid_t pid, const std::string& how, bool clean);
  // Takes everything back before it returns.
  void close();

  [[nodiscard]] std::size_t connections() const { return asked_.size(); }
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }  // programs to run, beside the one that runs

 private:
  struct Step {
    io::Command command;
    std::string device;
    bool undoes = false;
  };
  [[nodiscard]] Kind detect() const;
  [[nodiscard]] std::map<std::string, DeviceDns> wanted() const;
  void update();
  void set(const std::string& device, const DeviceDns& dns);
  void unset(const std::string& device);
  void write_file(const std::map<std::string, DeviceDns>& wanted);
  [[nodiscard]] bool restore_file();
  void remember();
  void run(const std::string& device, io::Command command);
  void on_failed(Step step, const std::string& why);
  void plan();
  void start_next();
  [[nodiscard]] std::string state_path() const { return paths_.state_dir + "/resolver"; }
  [[nodiscard]] std::string backup_path() const { return paths_.state_dir + "/resolv.conf.before"; }

  io::EventLoop& loop_;
  ResolverPaths paths_;
  Logger& log_;
  std::map<std::string, ResolverRequest> asked_;  // by connection
  std::set<std::string> repeated_;
  std::map<std::string, DeviceDns> in_force_;  // or on its way
  std::set<std::string> touched_;              // devices that something was set for and not yet taken back
  std::optional<Kind> kind_;                   // while anything is in force
  std::set<std::string> stuck_;  // devices (or the file) that could not be taken back: tried again at the end
  bool told_full_ = false;
  std::deque<Step> queue_;  // never more than it takes for each device once: what is wanted meanwhile waits in asked_
  std::optional<io::RunningCommand> running_;
  io::EventLoop::TimerId patience_ = 0;
};

}  // namespace cygnet::daemon
