// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "config/file_reader.h"
#include "config/sections.h"
#include "model/pkcs11_uri.h"

namespace cygnet::config {

Result<std::string> MemoryFiles::read(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end()) return fail("cannot read '" + path + "': no such file");
  return found->second;
}

std::vector<std::string> MemoryFiles::glob(const std::string& pattern) {
  std::vector<std::string> names;
  for (const auto& [name, text] : files_) {
    if (::fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) names.push_back(name);
  }
  return names;
}

Result<std::string> DiskFiles::read(const std::string& path) {
  if (model::is_pkcs11_uri(path)) return fail("only the running daemon asks tokens");
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fail("cannot read '" + path + "': " + std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail("cannot read '" + path + "': not a regular file");
  if (static_cast<std::size_t>(status.st_size) > kMaxFileBytes) return fail("cannot read '" + path + "': too large");
  // Read in one piece: a buffer of the library would keep a copy of secrets.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("cannot read '" + path + "': " + std::strerror(errno));
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  ssize_t n = 1;
  while (done < text.size() && n > 0) {
    n = ::read(fd, text.data() + done, text.size() - done);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  (void)::close(fd);
  if (n < 0) return fail("cannot read '" + path + "': input error");
  text.resize(done);
  return text;
}

std::vector<std::string> DiskFiles::glob(const std::string& pattern) {
  std::vector<std::string> names;
  ::glob_t found{};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    names.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  return names;
}

}  // namespace cygnet::config
