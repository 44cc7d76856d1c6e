// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/own_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "io/errno_text.h"

namespace cygnet::daemon {

Result<void> make_own_directory(const std::string& path, const std::string& what) {
  std::error_code error;
  const bool fresh = std::filesystem::create_directories(path, error);
  if (error) return fail("cannot make " + what + " " + path + ": " + error.message());
  // Whatever the umask of whoever started us.
  if (fresh && ::chmod(path.c_str(), 0755) != 0)
    return fail("cannot set the rights of " + what + " " + path + ": " + io::errno_text(errno));
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0)
    return fail("cannot look at " + what + " " + path + ": " + io::errno_text(errno));
  if (!S_ISDIR(info.st_mode)) return fail(what + " " + path + " is no directory");
  constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;
  if (info.st_uid == ::geteuid() && (info.st_mode & kWritableByOthers) == 0) return {};
  return fail("others than root may write into " + what + " " + path +
              ", and cygnetd believes what stands there: chown root " + path + " && chmod go-w " + path +
              ", once you know who made it");
}

std::optional<io::UniqueFd> lock_directory(const std::string& path) {
  io::UniqueFd fd(::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fd;
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return std::nullopt;
  return fd;
}

}  // namespace cygnet::daemon
