// SPDX-License-Identifier: Apache-2.0
#include "io/poller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "io/clock.h"
#include "io/errno_text.h"

namespace cygnet::io {

Result<Poller> Poller::make() {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) {
    return fail_errno("cannot make an epoll set");
  }
  return Poller(std::move(fd));
}

Result<void> Poller::add(int fd, std::uint32_t token) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = token;
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno("cannot watch a descriptor");
  }
  return {};
}

void Poller::remove(int fd) { (void)::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr); }

std::span<const Poller::Ready> Poller::wait(Instant until, Duration look) {
  if (look > Duration{}) {
    const auto looks_until = std::min(until, SystemClock::now() + look);
    do {
      wait_ms(0);
      if (!ready_.empty()) {
        return ready_;
      }
    } while (SystemClock::now() < looks_until);
  }
  int timeout_ms = -1;
  if (until != kNever) {
    // Instant::min() is long over: the distance to it is more than a Duration holds.
    const auto now = SystemClock::now();
    const auto left = until <= now ? Duration{} : until - now;
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    timeout_ms = static_cast<int>(std::clamp<std::int64_t>(ms, 0, 3'600'000));
  }
  wait_ms(timeout_ms);
  return ready_;
}

void Poller::wait_ms(int timeout_ms) {
  std::array<epoll_event, 32> events{};
  const int n = ::epoll_wait(fd_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  ready_.clear();
  for (int i = 0; i < n; ++i) {
    const auto& e = events[static_cast<std::size_t>(i)];
    ready_.push_back({e.data.u32, (e.events & EPOLLIN) != 0, (e.events & (EPOLLERR | EPOLLHUP)) != 0});
  }
}

}  // namespace cygnet::io
