// SPDX-License-Identifier: Apache-2.0
// The monitor where it is not started in the foreground: in the background, or to tidy up only.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "control/messages.h"
#include "daemon/monitor/engine_choice.h"
#include "daemon/monitor/monitor.h"
#include "daemon/monitor/own_directory.h"
#include "io/errno_text.h"
#include "io/process.h"
#include "io/unix_socket.h"
#include "wire/pfkey/constants.h"
#include "wire/xfrm/wrap_message.h"

namespace cygnet::daemon {

namespace {

constexpr int kAttempts = 15;
constexpr auto kPause = std::chrono::milliseconds(200);

}  // namespace

Result<void> Monitor::listen_to_programs() {
  if (!plan_.user) return {};
  auto pfkey = io::listen_seqpacket(path(std::string(wire::pfkey::kSocketName)), 0600);
  if (!pfkey) return std::unexpected(pfkey.error());
  pfkey_ = std::move(*pfkey);
  auto xfrm = io::listen_seqpacket(path(wire::xfrm::kSocketName), 0600);
  if (!xfrm) return std::unexpected(xfrm.error());
  xfrm_ = std::move(*xfrm);
  return {};
}

int Monitor::clean_up() {
  if (::geteuid() != 0) {
    log_.error("monitor", "cygnetd --clean-up must be run as root");
    return 1;
  }
  // The lock of a living one: its socket answers, and not only until the processes of a killed one have ended.
  for (int attempt = 0; io::connect_stream(path(std::string(control::kSocketName))); ++attempt) {
    if (attempt == kAttempts) {
      log_.error("monitor", "cygnetd is running: `cygnet shutdown` ends it and takes everything back");
      return 1;
    }
    std::this_thread::sleep_for(kPause);
  }
  if (auto own = make_own_directory(options_.run_dir, "the run directory"); !own) {
    log_.error("monitor", own.error().message);
    return 1;
  }
  auto loaded = read_configuration();
  network_ = std::make_unique<Network>(loaded.configuration.conf.setup, path("state"), log_);
  // Another daemon's, which lives, is not ours to take back.
  if (const auto lock = lock_directory(options_.state_dir)) resolver_.clean_up_earlier();
  remove_from_kernel(path(std::string(kInKernelFile)), log_);
  if (auto done = network_->clean_up(); !done) {
    log_.error("network", done.error().message);
    return 1;
  }
  return 0;
}

int run_monitor_in_background(const Options& options, Logger& log) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    log.error("monitor", io::errno_text(errno));
    return 1;
  }
  const io::UniqueFd read_end(pipe[0]);
  io::UniqueFd write_end(pipe[1]);
  const pid_t pid = ::fork();
  if (pid < 0) {
    log.error("monitor", "cannot start in the background: " + io::errno_text(errno));
    return 1;
  }
  if (pid > 0) {
    // Errors at the start belong to whoever typed the command: wait until it is clear how it went.
    write_end.reset();
    char started = 0;
    return ::read(read_end.get(), &started, 1) == 1 ? 0 : 1;
  }
  (void)::setsid();
  // Standard error stays until everything is started, so that a first error is seen and not only logged.
  return Monitor(options, log).run([&] {
    io::close_standard_streams();
    (void)!::write(write_end.get(), "1", 1);
    write_end.reset();
  });
}

}  // namespace cygnet::daemon
