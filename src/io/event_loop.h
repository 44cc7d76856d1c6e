// SPDX-License-Identifier: Apache-2.0
#pragma once

// The event loop of the processes that are not on the packet path, and the pool for work that would block it.
#include <cstdint>
#include <functional>
#include <memory>

#include "base/time.h"

namespace cygnet::io {

class EventLoop {
 public:
  using Callback = std::function<void()>;
  using TimerId = std::uint64_t;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `ready` whenever the descriptor can be read (or was closed by the peer), until unwatch(). The descriptor
  // stays the caller's, who must unwatch before closing it. One watch a descriptor.
  void watch(int fd, Callback ready);
  // Calls once, as soon as a watched descriptor takes data again.
  void when_writable(int fd, Callback ready);
  void unwatch(int fd);

  // Runs `what` at (or soon after) the instant, once.
  TimerId at(Instant when, Callback what);
  TimerId after(Duration delay, Callback what);
  void cancel(TimerId timer);

  // Runs `what` from the loop. The one call that other threads may make.
  void post(Callback what);

  void run();
  void stop();
  void restart();  // after stop(), before the next run()

 private:
  friend class WorkPool;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A few threads for slow work; each piece is followed by its `done` on the loop.
class WorkPool {
 public:
  WorkPool(EventLoop& loop, unsigned threads);
  ~WorkPool();  // waits for what runs; drops what has not begun
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;
  void run(std::function<void()> work, EventLoop::Callback done);
  // Pieces handed in whose `done` has not run yet.
  [[nodiscard]] std::size_t pending() const { return pending_; }

 private:
  struct Impl;
  EventLoop& loop_;
  std::size_t pending_ = 0;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cygnet::io
