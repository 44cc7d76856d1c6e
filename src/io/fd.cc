// SPDX-License-Identifier: Apache-2.0
#include "io/fd.h"

#include <fcntl.h>
#include <unistd.h>

namespace cygnet::io {

void UniqueFd::reset(int fd) noexcept {
  if (fd_ >= 0 && fd_ != fd) {
    ::close(fd_);
  }
  fd_ = fd;
}

UniqueFd UniqueFd::duplicate() const { return UniqueFd(fd_ < 0 ? -1 : ::fcntl(fd_, F_DUPFD_CLOEXEC, 3)); }

}  // namespace cygnet::io
