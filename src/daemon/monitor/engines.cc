// SPDX-License-Identifier: Apache-2.0
// The processes that carry packets: our own engine, the kernel's, or both beside each other.
#include "daemon/monitor/monitor.h"

namespace cygnet::daemon {

PassedSocket passed(const io::OuterSocket& socket) { return {socket.kind, socket.family, socket.port}; }

void Monitor::start_engines() {
  start_engine();
  if (plan_.both() && !shutting_down_) start_kernel();
}

bool Monitor::engines_ready() const {
  const auto runs = [](const Child& child) { return child.pid != 0 && child.ready; };
  return runs(engine_) && (!plan_.both() || runs(beside_));
}

void Monitor::on_engine_ready() {
  if (engines_ready()) start_ike();
}

void Monitor::start_engine() {
  if (auto started = start_process(engine_); !started)
    return start_again_later(engine_, started.error(), &Monitor::start_engine);
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
                    .language = plan_.language,
                    .esp_over_xdp = esp_path_ != nullptr,
                    .foreign_spis = plan_.both() ? model::kKernelSpiBit : 0};
  std::vector<io::UniqueFd> fds;
  for (const auto& device : network_->devices()) {
    start.devices.push_back(device.name);
    fds.push_back(device.fd.duplicate());
  }
  const auto pass = [&](const io::OuterSocket& socket) {
    start.sockets.push_back(passed(socket));
    fds.push_back(socket.fd.duplicate());
  };
  for (const auto* socket : network_->engine_sockets()) pass(*socket);
  for (const auto& socket : network_->sockets()) {
    // The kernel is told to let IKE through.
    if (!plan_.user && socket.kind == io::OuterKind::kUdp && socket.port == setup.ike_port) pass(socket);
  }
  if (plan_.user) {
    fds.push_back(pfkey_.duplicate());
    fds.push_back(xfrm_.duplicate());
  }
  send(engine_, start, std::move(fds));
  if (esp_path_) esp_path_->on_engine_started();
}

void Monitor::open_esp_path() {
  esp_path_ = std::make_unique<EspPath>(
      loop_,
      EspPath::Settings{.mark = network_->setup().fwmark, .kernel_spis = plan_.both() ? model::kKernelSpiBit : 0},
      [this](const FromMonitor& message, std::vector<io::UniqueFd> fds) { send(engine_, message, std::move(fds)); },
      log_);
  if (auto opened = esp_path_->open(); !opened) {
    log_.warning("network", "esp-path=xdp: plain ESP goes by sockets: " + opened.error().message);
    esp_path_.reset();
  }
}

// The kernel's beside our own. It has no devices: what comes into them without a policy, our own engine drops.
void Monitor::start_kernel() {
  if (auto started = start_process(beside_); !started)
    return start_again_later(beside_, started.error(), &Monitor::start_kernel);
  const auto& setup = network_->setup();
  StartEngine start{
      .log_level = setup.log_level, .nat_port = setup.nat_port, .mark = setup.fwmark, .language = plan_.language};
  std::vector<io::UniqueFd> fds;
  const auto pass = [&](const io::OuterSocket& socket) {
    start.sockets.push_back(passed(socket));
    fds.push_back(socket.fd.duplicate());
  };
  for (const auto& socket : network_->kernel_sockets()) pass(socket);
  for (const auto& socket : network_->sockets()) {
    // The kernel is told to let IKE through.
    if (socket.kind == io::OuterKind::kUdp && socket.port == setup.ike_port) pass(socket);
  }
  send(beside_, start, std::move(fds));
}

}  // namespace cygnet::daemon
