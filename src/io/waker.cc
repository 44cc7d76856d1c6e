// SPDX-License-Identifier: Apache-2.0
#include "io/waker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "io/errno_text.h"

namespace cygnet::io {

Result<Waker> Waker::make() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) {
    return fail_errno("cannot make an eventfd");
  }
  return Waker(std::move(fd));
}

// A full counter is awake already.
void Waker::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(fd_.get(), &one, sizeof one);
}

void Waker::clear() const {
  std::uint64_t count = 0;
  (void)!::read(fd_.get(), &count, sizeof count);
}

}  // namespace cygnet::io
