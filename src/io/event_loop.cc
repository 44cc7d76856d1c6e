// SPDX-License-Identifier: Apache-2.0
#define ASIO_STANDALONE 1
#define ASIO_NO_DEPRECATED 1
#include "io/event_loop.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <map>
#include <unordered_map>

#include "io/clock.h"

namespace cygnet::io {

namespace {

struct Watched {
  Watched(asio::io_context& context, int fd) : descriptor(context, fd) {}
  asio::posix::stream_descriptor descriptor;
  EventLoop::Callback ready;
  bool active = true;
};

void wait_readable(const std::shared_ptr<Watched>& watched) {
  watched->descriptor.async_wait(asio::posix::descriptor_base::wait_read, [watched](const asio::error_code& error) {
    if (error || !watched->active) {
      return;
    }
    watched->ready();
    // The callback may have ended the watch.
    if (watched->active) {
      wait_readable(watched);
    }
  });
}

}  // namespace

struct EventLoop::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{asio::make_work_guard(context)};
  std::unordered_map<int, std::shared_ptr<Watched>> watched;
  std::unordered_map<TimerId, std::unique_ptr<asio::steady_timer>> timers;
  TimerId next_timer = 1;
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}

EventLoop::~EventLoop() {
  for (auto& [fd, watched] : impl_->watched) {
    watched->active = false;
    (void)watched->descriptor.release();
  }
}

void EventLoop::watch(int fd, Callback ready) {
  unwatch(fd);
  auto watched = std::make_shared<Watched>(impl_->context, fd);
  watched->ready = std::move(ready);
  impl_->watched[fd] = watched;
  wait_readable(watched);
}

void EventLoop::when_writable(int fd, Callback ready) {
  const auto it = impl_->watched.find(fd);
  if (it == impl_->watched.end()) {
    return;
  }
  auto watched = it->second;
  watched->descriptor.async_wait(asio::posix::descriptor_base::wait_write,
                                 [watched, ready = std::move(ready)](const asio::error_code& error) {
                                   if (!error && watched->active) {
                                     ready();
                                   }
                                 });
}

void EventLoop::unwatch(int fd) {
  const auto it = impl_->watched.find(fd);
  if (it == impl_->watched.end()) {
    return;
  }
  it->second->active = false;
  // Cancels what waits and gives the descriptor back to its owner unclosed.
  (void)it->second->descriptor.release();
  impl_->watched.erase(it);
}

EventLoop::TimerId EventLoop::at(Instant when, Callback what) {
  return after(when - SystemClock::now(), std::move(what));
}

EventLoop::TimerId EventLoop::after(Duration delay, Callback what) {
  const TimerId id = impl_->next_timer++;
  auto& timer = impl_->timers[id] = std::make_unique<asio::steady_timer>(impl_->context);
  timer->expires_after(std::max(delay, Duration::zero()));
  timer->async_wait([this, id, what = std::move(what)](const asio::error_code& error) {
    if (!error && impl_->timers.erase(id) == 1) {
      what();
    }
  });
  return id;
}

void EventLoop::cancel(TimerId timer) { impl_->timers.erase(timer); }

void EventLoop::post(Callback what) { asio::post(impl_->context, std::move(what)); }

void EventLoop::run() { impl_->context.run(); }

void EventLoop::stop() { impl_->context.stop(); }

void EventLoop::restart() { impl_->context.restart(); }

struct WorkPool::Impl {
  explicit Impl(unsigned threads) : pool(threads) {}
  asio::thread_pool pool;
};

WorkPool::WorkPool(EventLoop& loop, unsigned threads) : loop_(loop), impl_(std::make_unique<Impl>(threads)) {}

WorkPool::~WorkPool() {
  impl_->pool.stop();
  impl_->pool.join();
}

void WorkPool::run(std::function<void()> work, EventLoop::Callback done) {
  ++pending_;
  asio::post(impl_->pool, [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    loop_.post([this, done = std::move(done)] {
      --pending_;
      done();
    });
  });
}

}  // namespace cygnet::io
