// SPDX-License-Identifier: Apache-2.0
#pragma once

// epoll for the packet loop: level-triggered, a number for each descriptor, nothing in between.
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/fd.h"

namespace cygnet::io {

class Poller {
 public:
  struct Ready {
    std::uint32_t token = 0;
    bool readable = false;
    bool failed = false;  // an error waits (sockets: see read_errors), or the peer hung up
  };
  [[nodiscard]] static Result<Poller> make();
  [[nodiscard]] Result<void> add(int fd, std::uint32_t token);
  void remove(int fd);
  // Until something is ready or the instant has come (rounded up to a millisecond). look: for so long it looks again
  // and again before it sleeps, because to be woken takes longer than to find something.
  [[nodiscard]] std::span<const Ready> wait(Instant until, Duration look = {});

 private:
  explicit Poller(UniqueFd fd) : fd_(std::move(fd)) {}
  void wait_ms(int timeout_ms);
  UniqueFd fd_;
  std::vector<Ready> ready_;
};

}  // namespace cygnet::io
