// SPDX-License-Identifier: Apache-2.0
#pragma once

// Network namespaces for tests of what touches the kernel. They vanish with the test process.
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "io/fd.h"

namespace cygnet::daemon {

class NetworkNamespace {
 public:
  NetworkNamespace() {
    const io::UniqueFd before(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::unshare(CLONE_NEWNET) == 0) {
      fd_ = io::UniqueFd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
      (void)::setns(before.get(), CLONE_NEWNET);
    }
  }
  [[nodiscard]] bool usable() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Runs f inside and comes back.
  template <typename F>
  auto in(F f) const {
    const io::UniqueFd before(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    (void)::setns(fd_.get(), CLONE_NEWNET);
    struct Back {
      int fd;
      ~Back() { (void)::setns(fd, CLONE_NEWNET); }
    } back{before.get()};
    return f();
  }
  // A shell command inside; its exit status.
  [[nodiscard]] int shell(const std::string& command) const {
    return in([&] {
      const int status = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
      return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    });
  }

 private:
  io::UniqueFd fd_;
};

}  // namespace cygnet::daemon
