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
  // Until something is ready or the instant has come (rounded up to a millisecond).
  [[nodiscard]] std::span<const Ready> wait(Instant until);

 private:
  explicit Poller(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::vector<Ready> ready_;
};

}  // namespace cygnet::io
