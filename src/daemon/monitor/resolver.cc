// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/resolver.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "io/errno_text.h"
#include "io/process.h"
#include "model/address_pool.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMostServers = 8;
constexpr std::size_t kMostDomains = 64;
constexpr std::size_t kFileServers = 3;  // resolv.conf(5): MAXNS
constexpr std::size_t kMaxFile = 64UL * 1024;
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kPatienceAtEnd = std::chrono::seconds(2);
constexpr std::string_view kMark = "# Written by cygnetd while a tunnel is up";

std::string_view word_of(Resolver::Kind kind) {
  switch (kind) {
    case Resolver::Kind::kResolved: return "resolved";
    case Resolver::Kind::kResolvconf: return "resolvconf";
    case Resolver::Kind::kFile: break;
  }
  return "file";
}

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(kMaxFile, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// In place: the file may be a link, or mounted there, and must stay the one it is.
Result<void> overwrite(const std::string& path, const std::string& text) {
  const io::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return io::fail_errno("cannot write " + path);
  std::size_t done = 0;
  while (done < text.size()) {
    const auto n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return io::fail_errno("cannot write " + path);
    done += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0) return io::fail_errno("cannot write " + path);
  return {};
}

std::string search_line(const std::vector<std::string>& domains) {
  std::string line;
  for (const auto& domain : domains) line += (line.empty() ? "search " : " ") + domain;
  return line.empty() ? line : line + '\n';
}

std::string record(const DeviceDns& dns) {
  std::string text;
  for (const auto& server : dns.servers) text += "nameserver " + server.to_string() + '\n';
  return text + search_line(dns.domains);
}

// A device name that resolvconf ranks with the tunnels.
std::string record_name(const std::string& device) { return "tun." + device; }

io::Command undo(Resolver::Kind kind, const std::string& device) {
  if (kind == Resolver::Kind::kResolved) return {{"resolvectl", "revert", device}, {}};
  return {{"resolvconf", "-d", record_name(device), "-f"}, {}};
}

template <typename T>
void add_new(std::vector<T>& to, const std::vector<T>& from, std::size_t most) {
  for (const auto& value : from) {
    if (to.size() < most && std::ranges::find(to, value) == to.end()) to.push_back(value);
  }
}

}  // namespace

Resolver::Resolver(io::EventLoop& loop, ResolverPaths paths, Logger& log)
    : loop_(loop), paths_(std::move(paths)), log_(log) {}

Resolver::~Resolver() { loop_.cancel(patience_); }

Resolver::Kind Resolver::detect() const {
  std::error_code error;
  if (std::filesystem::is_directory(paths_.resolved_dir, error) && io::has_program("resolvectl"))
    return Kind::kResolved;
  return io::has_program("resolvconf") ? Kind::kResolvconf : Kind::kFile;
}

void Resolver::request(const ResolverRequest& request, const std::vector<std::string>& devices) {
  ResolverRequest asked = request;
  // What ike passes on comes from a peer.
  std::erase_if(asked.servers, [](const auto& server) { return !model::is_assignable(server); });
  std::erase_if(asked.domains, [](const auto& domain) { return !model::is_domain_name(domain); });
  asked.servers.resize(std::min(asked.servers.size(), kMostServers));
  asked.domains.resize(std::min(asked.domains.size(), kMostDomains));
  if (asked.servers.empty() || std::ranges::find(devices, asked.device) == devices.end()) {
    if (asked_.erase(asked.connection) == 0) return;
  } else if (asked_.size() >= kMostConnections && !asked_.contains(asked.connection)) {
    if (!std::exchange(told_full_, true))
      log_.warning("resolver", "more than " + std::to_string(kMostConnections) +
                                   " connections have DNS servers of their peers: those of '" + asked.connection +
                                   "' and later ones are not used");
    return;
  } else {
    repeated_.insert(asked.connection);
    asked_[asked.connection] = std::move(asked);
  }
  update();
}

void Resolver::end_sync() {
  if (std::erase_if(asked_, [&](const auto& entry) { return !repeated_.contains(entry.first); }) != 0) update();
}

std::map<std::string, DeviceDns> Resolver::wanted() const {
  std::map<std::string, DeviceDns> out;
  for (const auto& [connection, asked] : asked_) {
    auto& dns = out[asked.device];
    add_new(dns.servers, asked.servers, kMostServers);
    add_new(dns.domains, asked.domains, kMostDomains);
    dns.everything = dns.everything || asked.domains.empty();
  }
  return out;
}

void Resolver::update() {
  // What is under way first: the newest wish counts then.
  if (!running_ && queue_.empty()) plan();
  start_next();
}

void Resolver::plan() {
  const auto wish = wanted();
  if (wish == in_force_) return;
  if (!kind_) kind_ = detect();
  const auto before = std::exchange(in_force_, wish);
  for (const auto& [device, dns] : wish) touched_.insert(device);
  // Before anything is done: a kill in between leaves nothing unknown.
  if (!wish.empty()) remember();
  if (*kind_ == Kind::kFile) return write_file(wish);
  for (const auto& [device, dns] : before) {
    if (!wish.contains(device)) unset(device);
  }
  for (const auto& [device, dns] : wish) {
    const auto was = before.find(device);
    if (was == before.end() || was->second != dns) set(device, dns);
  }
}

void Resolver::set(const std::string& device, const DeviceDns& dns) {
  if (*kind_ == Kind::kResolvconf) {
    io::Command add{{"resolvconf", "-a", record_name(device), "-m", "0"}, record(dns)};
    if (dns.everything) add.words.emplace_back("-x");
    return run(device, std::move(add));
  }
  io::Command servers{{"resolvectl", "dns", device}, {}};
  for (const auto& server : dns.servers) servers.words.push_back(server.to_string());
  io::Command domains{{"resolvectl", "domain", device}, {}};
  // RFC 8598 section 3.2: the names "that the ... DNS servers ... are to be used for": they route, they do not
  // complete.
  for (const auto& domain : dns.domains) domains.words.push_back("~" + domain);
  if (dns.everything) domains.words.emplace_back("~.");
  run(device, std::move(servers));
  run(device, std::move(domains));
  run(device, {{"resolvectl", "default-route", device, dns.everything ? "yes" : "no"}, {}});
}

void Resolver::unset(const std::string& device) { queue_.push_back({undo(*kind_, device), device, true}); }

void Resolver::write_file(const std::map<std::string, DeviceDns>& wish) {
  if (wish.empty()) return (void)restore_file();
  DeviceDns all;
  for (const auto& [device, dns] : wish) {
    add_new(all.servers, dns.servers, kMostServers);
    add_new(all.domains, dns.domains, kMostDomains);
  }
  const auto now = read_text(paths_.resolv_conf).value_or("");
  // Somebody else's, new or from the start: it is what comes back.
  if (!now.starts_with(kMark)) {
    if (auto kept = io::replace_file(backup_path(), now, 0644); !kept) {
      log_.error("resolver", kept.error().message + ": " + paths_.resolv_conf +
                                 " could not be restored, and is therefore not changed");
      return;
    }
  }
  std::string text = std::string(kMark) + "; the original is in " + backup_path() + " and comes back.\n";
  for (std::size_t i = 0; i < std::min(all.servers.size(), kFileServers); ++i)
    text += "nameserver " + all.servers[i].to_string() + '\n';
  text += search_line(all.domains);
  std::istringstream original(read_text(backup_path()).value_or(""));
  for (std::string line; std::getline(original, line);) {
    if (line.starts_with("options")) text += line + '\n';
  }
  if (auto written = overwrite(paths_.resolv_conf, text); !written) {
    // A part of it may be there.
    const bool whole = overwrite(paths_.resolv_conf, read_text(backup_path()).value_or("")).has_value();
    log_.error("resolver",
               written.error().message +
                   (whole ? ": names are still looked up where they were before. Make room, or see that root may write "
                            "there; then cygnet down and up"
                          : ", nor what was there before: once there is room, cp " + backup_path() + ' ' +
                                paths_.resolv_conf));
  } else if (!all.domains.empty()) {
    log_.notice("resolver",
                "without systemd-resolved, names of all domains are now asked of the peer's DNS servers, "
                "not those of " +
                    all.domains.front() + " alone");
  }
}

bool Resolver::restore_file() {
  const auto now = read_text(paths_.resolv_conf).value_or("");
  const auto before = read_text(backup_path());
  if (now.starts_with(kMark) && before) {
    if (auto written = overwrite(paths_.resolv_conf, *before); !written) {
      log_.error("resolver", written.error().message + ": the DNS servers of the peer stay there until then. cp " +
                                 backup_path() + ' ' + paths_.resolv_conf + ", once there is room");
      stuck_.insert(paths_.resolv_conf);
      return false;
    }
  }
  stuck_.erase(paths_.resolv_conf);
  io::remove_file(backup_path());
  return true;
}

// The kind, and the devices: all that taking back needs.
void Resolver::remember() {
  std::string text(word_of(*kind_));
  for (const auto& device : touched_) text += ' ' + device;
  if (auto written = io::replace_file(state_path(), text + '\n', 0600); !written) {
    log_.warning("resolver",
                 written.error().message + ": after a kill of cygnetd the resolver would stay as it is now");
  }
}

void Resolver::clean_up_earlier() {
  const auto state = read_text(state_path());
  if (!state) return;
  std::istringstream words(*state);
  std::string kind;
  words >> kind;
  log_.notice("resolver", "an earlier cygnetd did not end by itself: taking its DNS servers back");
  if (kind == word_of(Kind::kFile)) {
    // The next start, or --clean-up, tries it again.
    if (!restore_file()) return;
  } else {
    const auto which = kind == word_of(Kind::kResolved) ? Kind::kResolved : Kind::kResolvconf;
    // With its device gone resolved has forgotten it already.
    for (std::string device; words >> device;) {
      const auto done = io::run_command(undo(which, device), kPatienceAtEnd);
      if (!done && which == Kind::kResolvconf) log_.warning("resolver", done.error().message);
    }
  }
  io::remove_file(state_path());
}

void Resolver::run(const std::string& device, io::Command command) {
  queue_.push_back({std::move(command), device, false});
}

void Resolver::on_failed(Step step, const std::string& why) {
  const auto said = '`' + io::to_string(step.command) + "` " + why;
  if (step.undoes) {
    log_.warning("resolver", said + ". Names may still be asked of the peer's DNS servers: run it by hand");
    stuck_.insert(step.device);
    return;
  }
  log_.warning("resolver", said +
                               ". Names are looked up where they were before, not as the peer says: see to what it "
                               "says, then cygnet down and up");
  std::erase_if(queue_, [&](const Step& other) { return other.device == step.device; });
  queue_.push_front({undo(*kind_, step.device), step.device, true});
}

void Resolver::start_next() {
  while (!running_ && !queue_.empty()) {
    auto started = io::start_command(queue_.front().command);
    if (!started) {
      auto step = std::move(queue_.front());
      queue_.pop_front();
      on_failed(std::move(step), "cannot be run: " + started.error().message);
      continue;
    }
    running_ = std::move(*started);
    patience_ = loop_.after(kPatience, [this] {
      patience_ = 0;
      if (running_) (void)::kill(running_->pid, SIGKILL);
    });
  }
  if (running_) return;
  // Everything asked for is done.
  std::erase_if(touched_, [&](const auto& device) { return !in_force_.contains(device) && !stuck_.contains(device); });
  if (in_force_.empty() && kind_ && stuck_.empty()) {
    io::remove_file(state_path());
    kind_.reset();
  }
}

bool Resolver::on_child_ended(pid_t pid, const std::string& how, bool clean) {
  if (!running_ || running_->pid != pid) return false;
  loop_.cancel(patience_);
  patience_ = 0;
  auto step = std::move(queue_.front());
  queue_.pop_front();
  if (!clean) {
    on_failed(std::move(step), how + ": " + io::command_output(*running_));
  } else if (step.undoes) {
    stuck_.erase(step.device);
  }
  running_.reset();
  update();
  return true;
}

void Resolver::close() {
  loop_.cancel(patience_);
  patience_ = 0;
  if (running_) {
    io::end_child(running_->pid);
    running_.reset();
  }
  queue_.clear();
  asked_.clear();
  bool all = true;
  if (kind_ && *kind_ == Kind::kFile) {
    all = restore_file();
  } else if (kind_) {
    for (const auto& device : touched_) {
      auto done = io::run_command(undo(*kind_, device), kPatienceAtEnd);
      if (done) continue;
      log_.warning("resolver", done.error().message +
                                   ". Names may still be asked of the peer's DNS servers: run it by "
                                   "hand, or cygnetd --clean-up");
      all = false;
    }
  }
  in_force_.clear();
  touched_.clear();
  stuck_.clear();
  // With it the next start, or --clean-up, takes back what is left.
  if (kind_ && all) io::remove_file(state_path());
  kind_.reset();
}

}  // namespace cygnet::daemon
