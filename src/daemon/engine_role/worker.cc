// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/worker.h"

#include <sched.h>

#include "io/clock.h"
#include "io/process.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint32_t kStopToken = 0;
constexpr std::uint32_t kFirstToken = 1;

}  // namespace

bool run_only_on(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  return ::pthread_setaffinity_np(thread, sizeof set, &set) == 0;
}

Result<std::unique_ptr<Worker>> Worker::make(engine::Engine& engine, Crew& crew, engine::Lane& lane,
                                             std::vector<PacketLoop::Device> devices,
                                             std::vector<io::OuterSocket> sockets) {
  auto poller = io::Poller::make();
  if (!poller) return std::unexpected(poller.error());
  auto stop = io::Waker::make();
  if (!stop) return std::unexpected(stop.error());
  std::unique_ptr<Worker> worker(
      new Worker(engine, crew, lane, std::move(devices), std::move(sockets), std::move(*poller), std::move(*stop)));
  if (auto watched = worker->watch(); !watched) return std::unexpected(watched.error());
  return worker;
}

Worker::Worker(engine::Engine& engine, Crew& crew, engine::Lane& lane, std::vector<PacketLoop::Device> devices,
               std::vector<io::OuterSocket> sockets, io::Poller poller, io::Waker stop)
    : poller_(std::move(poller)),
      stop_(std::move(stop)),
      packets_(engine, std::move(devices), std::move(sockets),
               [&crew](const Endpoint& local, const Endpoint& remote, ByteView message) {
                 return crew.put_ike(local, remote, message);
               },
               {&crew, &lane}) {}

Worker::~Worker() {
  stop_.wake();
  if (thread_.joinable()) thread_.join();
}

Result<void> Worker::watch() {
  if (auto added = poller_.add(stop_.fd(), kStopToken); !added) return added;
  std::uint32_t token = kFirstToken;
  for (const auto& device : packets_.devices()) {
    if (auto added = poller_.add(device.fd.get(), token++); !added) return added;
  }
  for (const auto& socket : packets_.sockets()) {
    if (auto added = poller_.add(socket.fd.get(), token++); !added) return added;
  }
  return {};
}

void Worker::start(Duration busy_poll) {
  thread_ = std::thread([this, busy_poll] { run(busy_poll); });
}

bool Worker::run_only_on(int cpu) { return daemon::run_only_on(thread_.native_handle(), cpu); }

void Worker::run(Duration busy_poll) {
  const std::size_t devices = packets_.devices().size();
  for (;;) {
    for (const auto& ready : poller_.wait(kNever, busy_poll)) {
      if (ready.token == kStopToken) return;
      const auto now = io::SystemClock::now();
      const std::size_t index = ready.token - kFirstToken;
      if (index < devices) {
        packets_.on_device_readable(index, now);
        continue;
      }
      if (ready.failed) packets_.on_socket_error(index - devices, now);
      if (ready.readable) packets_.on_socket_readable(index - devices, now);
    }
  }
}

}  // namespace cygnet::daemon
