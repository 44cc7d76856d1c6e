// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/worker_queues.h"

#include <sched.h>

#include <algorithm>

#include "engine/lane.h"

namespace cygnet::daemon {

namespace {

// Raw sockets, of which each gets a copy of everything.
bool is_divided(const io::OuterSocket& socket) {
  return socket.kind == io::OuterKind::kEsp || socket.kind == io::OuterKind::kAh;
}

Result<io::OuterSocket> open_beside(const io::OuterSocket& first, std::uint32_t mark) {
  switch (first.kind) {
    case io::OuterKind::kUdp: return io::open_udp(first.family, first.port, mark, true, true);
    case io::OuterKind::kEsp: return io::open_esp(first.family, mark);
    case io::OuterKind::kAh: return io::open_ah(first.family, mark);
    case io::OuterKind::kClear: break;
  }
  return io::open_clear(first.family, mark);
}

Result<WorkerQueues> open_one(std::uint32_t mark, std::uint32_t index, std::uint32_t threads, std::uint32_t none_with,
                              std::span<const io::TunDevice> devices, std::span<const io::OuterSocket* const> sockets) {
  WorkerQueues queues;
  for (const auto& device : devices) {
    auto queue = io::open_tun_queue(device);
    if (!queue) {
      return std::unexpected(queue.error());
    }
    queues.devices.push_back(std::move(*queue));
  }
  for (const auto* first : sockets) {
    auto socket = open_beside(*first, mark);
    if (!socket) {
      return std::unexpected(socket.error());
    }
    if (is_divided(*first)) {
      if (auto shared = io::take_share_of_spis(*socket, index, threads, none_with); !shared) {
        return std::unexpected(shared.error());
      }
    }
    queues.sockets.push_back(std::move(socket->fd));
  }
  return queues;
}

}  // namespace

std::uint32_t engine_threads(const model::EngineThreads& wanted) {
  constexpr auto kMost = static_cast<std::uint32_t>(engine::Lane::kMost);
  if (wanted.count != 0) {
    return std::min(wanted.count, kMost);
  }
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const int cpus = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  return std::clamp(static_cast<std::uint32_t>(cpus) / 2, 1U, kMost);
}

Result<void> expect_free_port(Family family, std::uint16_t port) {
  const auto probe = io::open_udp(family, port, 0, false);
  return probe ? Result<void>{} : std::unexpected(probe.error());
}

Result<std::vector<WorkerQueues>> open_worker_queues(std::uint32_t mark, std::uint32_t threads,
                                                     std::span<const io::TunDevice> devices,
                                                     std::span<const io::OuterSocket* const> sockets,
                                                     std::uint32_t none_with) {
  std::vector<WorkerQueues> all;
  for (std::uint32_t index = 1; index < threads; ++index) {
    auto queues = open_one(mark, index, threads, none_with, devices, sockets);
    if (!queues) {
      return fail(queues.error().message + " (workers=1 in config setup does without)");
    }
    all.push_back(std::move(*queues));
  }
  for (const auto* socket : sockets) {
    if ((threads > 1 || none_with != 0) && is_divided(*socket)) {
      if (auto shared = io::take_share_of_spis(*socket, 0, threads, none_with); !shared) {
        return std::unexpected(shared.error());
      }
    }
  }
  return all;
}

}  // namespace cygnet::daemon
