// SPDX-License-Identifier: Apache-2.0
// The end of a process, and of them all: what is started again, what is taken back.
#include <algorithm>
#include <csignal>
#include <utility>

#include "control/messages.h"
#include "daemon/monitor/engine_choice.h"
#include "daemon/monitor/monitor.h"
#include "io/clock.h"
#include "io/process.h"
#include "wire/pfkey/constants.h"
#include "wire/xfrm/wrap_message.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kFirstBackoff = std::chrono::milliseconds(100);
constexpr Duration kLongestBackoff = std::chrono::seconds(10);
constexpr Duration kStable = std::chrono::seconds(10);      // ran this long: the next death is a new story
constexpr Duration kGoodbyeTime = std::chrono::seconds(2);  // for ike to tell its peers

}  // namespace

void Monitor::restart_later(Child& child, void (Monitor::*how)()) {
  const bool stable = io::SystemClock::now() - child.started > kStable;
  child.backoff = stable || child.backoff == Duration{} ? kFirstBackoff : std::min(child.backoff * 2, kLongestBackoff);
  ++child.restarts;
  loop_.after(child.backoff, [this, how] {
    if (!shutting_down_) {
      (this->*how)();
    }
  });
}

void Monitor::start_again_later(Child& child, const Error& why, void (Monitor::*how)()) {
  log_.error(child.role, why.message + ": trying it again");
  // For the pauses that is a start, and a short one.
  child.started = io::SystemClock::now();
  restart_later(child, how);
}

// RFC 4303 section 3.3.3: "the sender ... MUST NOT ... cycle" a sequence number under one key. SAs of a dead engine can
// therefore never be used again; devices and routes stay, so that nothing leaves in the clear meanwhile.
void Monitor::on_child_ended(pid_t pid, const std::string& how, bool clean) {
  if (pid == ike_.pid) {
    ike_.pid = 0;
    ike_.channel.reset();
    if (shutting_down_) {
      end_shut_down();
    } else if (engine_lost_) {
      ++ike_.restarts;
      start_ike();
    } else {
      log_.error("ike", "the process " + how + (clean ? "" : "; tunnels keep running") + ": starting it again");
      restart_later(ike_, &Monitor::start_ike);
    }
    return;
  }
  if (pid == keys_.pid) {
    keys_.pid = 0;
    keys_.channel.reset();
    if (!shutting_down_) {
      log_.error("keys", "the process " + how + "; tunnels keep running: starting it again");
      restart_later(keys_, &Monitor::start_keys_again);
    }
    return;
  }
  if (pid == token_.pid) {
    token_.pid = 0;
    token_.channel.reset();
    if (!shutting_down_) {
      log_.error("token", "the process " + how +
                              "; tunnels keep running, handshakes that need a token fail until it is back: starting it "
                              "again");
      restart_later(token_, &Monitor::start_token_again);
    }
    return;
  }
  if (resolver_.on_child_ended(pid, how, clean)) {
    return;
  }
  if (pid == beside_.pid) {
    on_kernel_ended(how);
    return;
  }
  if (pid != engine_.pid) {
    return;
  }
  engine_.pid = 0;
  engine_.ready = false;
  engine_.channel.reset();
  if (shutting_down_) {
    return;
  }
  log_.error("engine",
             "the process " + how +
                 (!plan_.user ? ": the kernel's SAs go on until new ones are there"
                              : ": all tunnels are lost and negotiated again; nothing leaves in the clear meanwhile"));
  engine_lost_ = true;
  // With the kernel's SAs alive nothing is said to the peers: they would delete their halves.
  if (plan_.user) send(ike_, ShutDown{});
  if (const pid_t lost_ike = ike_.pid; lost_ike != 0) {
    loop_.after(!plan_.user ? Duration{} : Duration(kGoodbyeTime), [this, lost_ike] {
      if (ike_.pid == lost_ike) ::kill(lost_ike, SIGKILL);
    });
  }
  restart_later(engine_, &Monitor::start_engine);
}

// Our own engine keeps what ike must find again, and the kernel its SAs, though the next process does not know of what
// they are. ike begins anew as after a crash of its own: tunnels in user space stay, those in the kernel are made anew.
void Monitor::on_kernel_ended(const std::string& how) {
  beside_.pid = 0;
  beside_.ready = false;
  beside_.channel.reset();
  if (shutting_down_) {
    return;
  }
  log_.error("kernel", "the process " + how + ": the kernel's SAs go on until new ones are there");
  if (ike_.pid != 0 && !engine_lost_) {
    engine_lost_ = true;
    ::kill(ike_.pid, SIGKILL);
  }
  restart_later(beside_, &Monitor::start_kernel);
}

void Monitor::begin_shut_down() {
  if (std::exchange(shutting_down_, true)) {
    return;
  }
  if (!handing_over_) io::notify_service_manager("STOPPING=1");
  log_.info("monitor", !handing_over_
                           ? "shutting down"
                           : "shutting down, for another to begin: nothing leaves in the clear until it has, "
                             "or until cygnetd --clean-up");
  if (ike_.pid == 0) {
    end_shut_down();
    return;
  }
  send(ike_, ShutDown{});
  loop_.after(kGoodbyeTime, [this] { end_shut_down(); });
}

void Monitor::end_shut_down() {
  for (auto* child : {&ike_, &keys_, &token_, &engine_, &beside_}) {
    if (child->pid != 0) {
      // Only when it is gone are its devices: the next cygnetd must find none of them.
      io::end_child(child->pid);
    }
    io::remove_file(path(child->role + ".pid"));
  }
  leases_.close();
  resolver_.close();
  if (!handing_over_) {
    remove_from_kernel(path(std::string(kInKernelFile)), log_);
    network_->close();
  }
  io::remove_file(path("monitor.pid"));
  io::remove_file(path(std::string(control::kSocketName)));
  io::remove_file(path(std::string(wire::pfkey::kSocketName)));
  io::remove_file(path(wire::xfrm::kSocketName));
  loop_.stop();
}

}  // namespace cygnet::daemon
