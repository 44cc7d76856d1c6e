// SPDX-License-Identifier: Apache-2.0
#include "io/errno_text.h"

#include <cerrno>
#include <system_error>

namespace cygnet::io {

std::string errno_text(int error) { return std::system_category().message(error); }

std::unexpected<Error> fail_errno(std::string_view what) {
  const int error = errno;
  return fail(std::string(what) + ": " + errno_text(error));
}

}  // namespace cygnet::io
