// SPDX-License-Identifier: Apache-2.0
#include "daemon/token_role/token_role.h"

#include <csignal>
#include <memory>

#include "daemon/keys_role/key_messages.h"
#include "daemon/privileges.h"
#include "daemon/role_messages.h"
#include "daemon/token_role/token_store.h"
#include "io/event_loop.h"
#include "io/process.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kLookAgain = std::chrono::seconds(10);

class TokenProcess {
 public:
  TokenProcess(Options options, Logger& log) : options_(std::move(options)), log_(log) {}

  int run() {
    io::set_process_name("cygnetd-token");
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
  void take_work(const std::vector<io::UniqueFd>& fds);
  void look();
  void report();
  void on_jobs(ByteView bytes);
  void tell_held_keys();

  Options options_;
  Logger& log_;
  io::EventLoop loop_;
  std::unique_ptr<io::Channel> monitor_, ike_;
  TokenStore store_;
  io::EventLoop::TimerId timer_ = 0;
  bool started_ = false;
  int status_ = 0;
};

void TokenProcess::on_monitor(io::Message message) {
  const auto decoded = decode_from_monitor(message.bytes);
  if (!decoded) return log_.warning("", decoded.error().message);
  if (std::holds_alternative<StartToken>(*decoded)) {
    if (!started_) {
      if (auto started = start(); !started) {
        log_.error("", started.error().message);
        status_ = 1;
        return loop_.stop();
      }
    }
    take_work(message.fds);
  } else if (std::holds_alternative<TokenPeer>(*decoded) && message.fds.size() == 1) {
    ike_ = std::make_unique<io::Channel>(
        loop_, std::move(message.fds[0]), [this](const io::Message& jobs) { on_jobs(jobs.bytes); }, [] {});
    tell_held_keys();
  }
}

// All before the first octet of a foreign library is loaded.
Result<void> TokenProcess::start() {
  leave_network();
  if (auto dropped = drop_privileges(options_.user); !dropped) return dropped;
  if (auto confined = confine(Confinement::kToken, options_.allow_unconfined, log_); !confined) return confined;
  started_ = true;
  return {};
}

void TokenProcess::take_work(const std::vector<io::UniqueFd>& fds) {
  auto text = fds.size() == 1 ? io::read_memory_file(fds[0].get(), kMaxTokenFile) : fail("nothing to look for arrived");
  if (!text) return log_.error("", text.error().message);
  auto work = decode_token_work(*text);
  wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (!work) return log_.error("", work.error().message);
  store_.use(std::move(*work));
  (void)store_.look();
  report();
  if (timer_ == 0) timer_ = loop_.after(kLookAgain, [this] { look(); });
}

// Tokens come and go.
void TokenProcess::look() {
  if (store_.look()) report();
  timer_ = loop_.after(kLookAgain, [this] { look(); });
}

void TokenProcess::report() {
  auto file = io::make_memory_file("cygnet-token-certificates", encode_token_certificates(store_.certificates()));
  if (!file) return log_.error("", file.error().message);
  std::vector<io::UniqueFd> fds;
  fds.push_back(std::move(*file));
  (void)monitor_->send(encode(ToMonitor{TokenReport{store_.problems()}}), std::move(fds));
  const auto keys = store_.public_keys();
  for (const auto& key : keys) log_.info("", "there is a private key on a token: " + key.to_string());
  tell_held_keys();
}

void TokenProcess::tell_held_keys() {
  if (!ike_) return;
  HeldKeys held;
  for (const auto& key : store_.public_keys()) {
    if (held.key_ids.size() < kMaxKeysInMessage) held.key_ids.push_back(key.key_id());
  }
  (void)ike_->send(encode_held_keys(held));
}

// One after the other: a token does one thing at a time.
void TokenProcess::on_jobs(ByteView bytes) {
  const auto jobs = decode_jobs(bytes);
  if (!jobs) return log_.error("", jobs.error().message);
  for (const auto& job : *jobs) {
    (void)ike_->send(encode_results({store_.perform(job)}));
  }
}

}  // namespace

int run_token_role(const Options& options, Logger& log) { return TokenProcess(options, log).run(); }

}  // namespace cygnet::daemon
