// SPDX-License-Identifier: Apache-2.0
#include "daemon/keys_role/keys_role.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "crypto/prf.h"
#include "daemon/config_bundle.h"
#include "daemon/keys_role/key_messages.h"
#include "daemon/privileges.h"
#include "daemon/role_messages.h"
#include "ike/auth/local_keys.h"
#include "io/event_loop.h"
#include "io/process.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {

namespace {

constexpr unsigned kThreads = 2;                // signatures; the loop itself only reads and writes
constexpr std::size_t kMaxPending = 1U << 14U;  // messages of ike under work; ike bounds what it asks

// Nothing of this process may reach swap space. Where the limit forbids it, the process works all the same.
void lock_memory() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0) (void)::mlockall(MCL_CURRENT | MCL_FUTURE);
}

class KeysProcess {
 public:
  KeysProcess(Options options, Logger& log) : options_(std::move(options)), log_(log) {}

  int run() {
    io::set_process_name("cygnetd-keys");
    io::work_in_batches();
    (void)std::signal(SIGPIPE, SIG_IGN);
    monitor_ = std::make_unique<io::Channel>(
        loop_, io::UniqueFd(io::kInheritedChannel), [this](io::Message message) { on_monitor(std::move(message)); },
        [this] { loop_.stop(); });
    loop_.run();
    return status_;
  }

 private:
  void on_monitor(io::Message message);
  [[nodiscard]] Result<void> start();
  void take_secrets(const std::string& path, const std::vector<io::UniqueFd>& fds);
  void on_jobs(ByteView bytes);
  void tell_held_keys();

  Options options_;
  Logger& log_;
  io::EventLoop loop_;
  std::unique_ptr<io::WorkPool> pool_;  // made when the privileges are gone: its threads never had any
  std::unique_ptr<io::Channel> monitor_, ike_;
  std::uint64_t peer_ = 0;  // counts ikes: a result goes to the one that asked
  std::shared_ptr<const ike::auth::LocalKeys> keys_;
  std::string secrets_path_;
  int status_ = 0;
};

void KeysProcess::on_monitor(io::Message message) {
  const auto decoded = decode_from_monitor(message.bytes);
  if (!decoded) {
    log_.warning("", decoded.error().message);
    return;
  }
  if (const auto* begin = std::get_if<StartKeys>(&*decoded)) {
    secrets_path_ = begin->secrets_path;
    take_secrets(secrets_path_, message.fds);
    if (auto started = start(); !started) {
      log_.error("", started.error().message);
      status_ = 1;
      loop_.stop();
      return;
    }
    (void)monitor_->send(encode(ToMonitor{Ready{}}));
  } else if (std::holds_alternative<NewConfiguration>(*decoded)) {
    take_secrets(secrets_path_, message.fds);
  } else if (std::holds_alternative<KeysPeer>(*decoded) && message.fds.size() == 1) {
    ++peer_;
    ike_ = std::make_unique<io::Channel>(
        loop_, std::move(message.fds[0]), [this](const io::Message& jobs) { on_jobs(jobs.bytes); },
        [this] { log_.notice("", "ike is gone; waiting for the next one"); });
    tell_held_keys();
  }
}

Result<void> KeysProcess::start() {
  lock_memory();
  // OpenSSL makes itself ready when it is first used: now, and not while the first peer waits.
  (void)crypto::prf(model::PrfId::kHmacSha2_256, {}, {});
  if (auto dropped = drop_privileges(options_.user); !dropped) return dropped;
  pool_ = std::make_unique<io::WorkPool>(loop_, kThreads);
  if (auto confined = confine(Confinement::kKeys, options_.allow_unconfined, log_); !confined) return confined;
  return {};
}

// What can be read is used: a fault in one entry leaves the others in force. The monitor has told of the faults.
void KeysProcess::take_secrets(const std::string& path, const std::vector<io::UniqueFd>& fds) {
  auto text = fds.size() == 1 ? io::read_memory_file(fds[0].get(), kMaxBundle) : fail("no secrets arrived");
  if (!text) return log_.error("", text.error().message);
  auto files = BundledFiles::from_text(*text);
  wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (!files) return log_.error("", files.error().message);
  auto loaded = config::load_ipsec_secrets(path, *files);
  const auto shared = loaded.secrets.size();
  auto fresh = std::make_shared<const ike::auth::LocalKeys>(
      model::Secrets{std::move(loaded.secrets), std::move(loaded.private_keys)});
  for (const auto& problem : fresh->problems()) log_.warning("secrets", problem);
  log_.info("secrets", "loaded " + std::to_string(shared) + " pre-shared keys and " +
                           std::to_string(fresh->public_keys().size()) + " private keys");
  keys_ = std::move(fresh);
  tell_held_keys();
}

void KeysProcess::tell_held_keys() {
  if (!ike_ || !keys_) return;
  HeldKeys held;
  const auto tell = [&] {
    (void)ike_->send(encode_held_keys(held));
    held = {.first = false};
  };
  for (const auto& key : keys_->public_keys()) {
    held.key_ids.push_back(key.key_id());
    if (held.key_ids.size() == kMaxKeysInMessage) tell();
  }
  if (held.first || !held.key_ids.empty()) tell();
}

void KeysProcess::on_jobs(ByteView bytes) {
  auto jobs = decode_jobs(bytes);
  if (!jobs) return log_.error("", jobs.error().message);
  if (!keys_ || pool_->pending() >= kMaxPending) return log_.error("", "too many questions at once: some are dropped");
  if (std::all_of(jobs->begin(), jobs->end(), [this](const auto& job) { return keys_->is_quick(job); })) {
    std::vector<ike::auth::AuthResult> results;
    results.reserve(jobs->size());
    for (const auto& job : *jobs) results.push_back(keys_->perform(job));
    if (ike_) (void)ike_->send(encode_results(results));
    return;
  }
  auto answer = std::make_shared<Bytes>();
  pool_->run(
      // What was asked under the old secrets is answered with them.
      [jobs = std::move(*jobs), keys = keys_, answer] {
        std::vector<ike::auth::AuthResult> results;
        results.reserve(jobs.size());
        for (const auto& job : jobs) results.push_back(keys->perform(job));
        *answer = encode_results(results);
      },
      [this, answer, peer = peer_] {
        if (ike_ && peer == peer_) (void)ike_->send(std::move(*answer));
      });
}

}  // namespace

int run_keys_role(const Options& options, Logger& log) { return KeysProcess(options, log).run(); }

}  // namespace cygnet::daemon
