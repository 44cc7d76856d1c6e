// SPDX-License-Identifier: Apache-2.0
#pragma once

// Wakes another thread's poller (eventfd(2)).
#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

class Waker {
 public:
  [[nodiscard]] static Result<Waker> make();
  // To be watched: readable from wake() until clear().
  [[nodiscard]] int fd() const { return fd_.get(); }
  // From any thread.
  void wake() const;
  void clear() const;

 private:
  explicit Waker(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace cygnet::io
