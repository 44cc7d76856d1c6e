// SPDX-License-Identifier: Apache-2.0
#pragma once

// What further threads of the engine have for their own: a queue of each device and a socket beside each that carries
// packets. The kernel spreads flows over the queues, peers over the UDP sockets, and a filter SPIs over those for
// protocol 50.
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/outer_socket.h"
#include "io/tun.h"
#include "model/engine_threads.h"

namespace cygnet::daemon {

struct WorkerQueues {
  std::vector<io::UniqueFd> devices;
  std::vector<io::UniqueFd> sockets;
};

// How many threads the engine has: what workers= says; for auto one for each two of this process's CPUs, because the
// kernel's part of each packet takes as much.
[[nodiscard]] std::uint32_t engine_threads(const model::EngineThreads& wanted);

// That nobody else has the port. The sockets of several threads share it, and would share it with anybody who does.
[[nodiscard]] Result<void> expect_free_port(Family family, std::uint16_t port);

// For threads - 1 further threads. The devices were opened with queues, the UDP sockets as one of several. Raw sockets
// take no SPI with a bit of `none_with`.
[[nodiscard]] Result<std::vector<WorkerQueues>> open_worker_queues(std::uint32_t mark, std::uint32_t threads,
                                                                   std::span<const io::TunDevice> devices,
                                                                   std::span<const io::OuterSocket* const> sockets,
                                                                   std::uint32_t none_with = 0);

}  // namespace cygnet::daemon
