// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/crash_secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "io/errno_text.h"
#include "io/fd.h"

namespace cygnet::daemon {

namespace {

std::optional<SecretBytes> read_secret(const std::string& path) {
  const io::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info{};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 077) != 0 ||
      info.st_uid != ::geteuid() || info.st_size != static_cast<off_t>(kCrashSecretOctets)) {
    return std::nullopt;
  }
  SecretBytes secret(kCrashSecretOctets);
  if (::read(file.get(), secret.data(), secret.size()) != static_cast<ssize_t>(secret.size())) {
    return std::nullopt;
  }
  return secret;
}

Result<void> write_secret(const std::string& path, const SecretBytes& secret) {
  const auto failed = [&](const std::string& what) {
    return fail("cannot " + what + " " + path + ": " + io::errno_text(errno) +
                " (after a reboot peers will find out the slow way that their tunnels are gone)");
  };
  const std::string fresh = path + ".new";
  (void)::unlink(fresh.c_str());
  const io::UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) {
    return failed("make");
  }
  if (::write(file.get(), secret.data(), secret.size()) != static_cast<ssize_t>(secret.size()) ||
      ::fsync(file.get()) != 0) {
    return failed("write");
  }
  return ::rename(fresh.c_str(), path.c_str()) == 0 ? Result<void>{} : failed("put in place");
}

}  // namespace

Result<SecretBytes> load_crash_secret(const std::string& directory, Random& random) {
  std::error_code error;
  if (std::filesystem::create_directories(directory, error); error) {
    return fail("cannot make the state directory " + directory + ": " + error.message());
  }
  const std::string path = directory + "/crash-secret";
  if (auto known = read_secret(path)) {
    return std::move(*known);
  }
  SecretBytes secret(kCrashSecretOctets);
  random.fill(secret);
  if (auto written = write_secret(path, secret); !written) {
    return std::unexpected(written.error());
  }
  return secret;
}

}  // namespace cygnet::daemon
