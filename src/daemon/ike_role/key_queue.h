// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who does the public-key work of Diffie-Hellman: two threads of the pool and the loop's own, which take it from one
// queue, one piece after the other. Nobody is given a share beforehand: where there are fewer cores than threads that
// want one, a share would lie with a thread that waits while a core stands still. Whoever runs does all that is there.
#include <cstddef>
#include <memory>
#include <vector>

#include "ike/actions.h"
#include "io/event_loop.h"

namespace cygnet::daemon {

class KeyQueue {
 public:
  // `on_results` is called on the loop when there is something to take. The loop and the pool outlive this; the pool's
  // threads may be told to go on with other things in between.
  KeyQueue(io::EventLoop& loop, io::WorkPool& pool, io::EventLoop::Callback on_results);
  KeyQueue(const KeyQueue&) = delete;
  KeyQueue& operator=(const KeyQueue&) = delete;
  ~KeyQueue();  // what nobody has begun is forgotten; the loop runs no more after this

  void add(ike::KeyExchangeJob job) { fresh_.push_back(std::move(job)); }
  // Sees to it that what was added is done: once for all that came together.
  void start();
  // In no order that means anything.
  [[nodiscard]] std::vector<ike::JobResult> take_results();

 private:
  struct Shared;
  void add_helper();
  void help_soon();
  void help();

  io::EventLoop& loop_;
  io::WorkPool& pool_;
  std::shared_ptr<Shared> shared_;
  std::vector<ike::KeyExchangeJob> fresh_;  // since start()
  std::vector<ike::JobResult> own_;         // of the loop's own thread
  std::size_t helpers_ = 0;                 // threads of the pool that are at it, or about to be
  bool helping_ = false;                    // so is the loop's own
};

}  // namespace cygnet::daemon
