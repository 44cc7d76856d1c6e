// SPDX-License-Identifier: Apache-2.0
#pragma once

// A further thread of the engine process: queues of the devices and sockets of its own, packets as packet_loop.h moves
// them, and nothing else. The first thread does the same besides its other work.
#include <pthread.h>

#include <thread>

#include "base/result.h"
#include "daemon/engine_role/crew.h"
#include "daemon/engine_role/packet_loop.h"
#include "io/poller.h"
#include "io/waker.h"

namespace cygnet::daemon {

class Worker {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Worker>> make(engine::Engine& engine, Crew& crew, engine::Lane& lane,
                                                            std::vector<PacketLoop::Device> devices,
                                                            std::vector<io::OuterSocket> sockets);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Ends the thread.
  ~Worker();
  void start(Duration busy_poll);
  // Once started: it runs only there from now on. False: the kernel says no.
  [[nodiscard]] bool run_only_on(int cpu);
  [[nodiscard]] pthread_t thread() { return thread_.native_handle(); }

 private:
  Worker(engine::Engine& engine, Crew& crew, engine::Lane& lane, std::vector<PacketLoop::Device> devices,
         std::vector<io::OuterSocket> sockets, io::Poller poller, io::Waker stop);
  [[nodiscard]] Result<void> watch();
  void run(Duration busy_poll);

  io::Poller poller_;
  io::Waker stop_;
  PacketLoop packets_;
  std::thread thread_;
};

// The thread runs only there from now on. False: the kernel says no.
[[nodiscard]] bool run_only_on(pthread_t thread, int cpu);

}  // namespace cygnet::daemon
