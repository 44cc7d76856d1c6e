// SPDX-License-Identifier: Apache-2.0
#include "io/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

[[noreturn]] void become(const std::vector<char*>& argv, int channel, pid_t parent) {
  // Only async-signal-safe calls between fork and exec.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(127);  // the parent died before the line above
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (channel == kInheritedChannel) {
    ::fcntl(channel, F_SETFD, 0);
  } else {
    ::dup2(channel, kInheritedChannel);
  }
  ::execv("/proc/self/exe", argv.data());
  ::_exit(127);
}

bool write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) {
      return false;
    }
    done += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  return true;
}

}  // namespace

Result<pid_t> spawn_self(const std::vector<std::string>& arguments, const UniqueFd& channel) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail_errno("cannot start another process");
  }
  if (pid == 0) {
    become(argv, channel.get(), parent);
  }
  return pid;
}

void set_process_name(const std::string& name) { ::prctl(PR_SET_NAME, name.c_str()); }

void work_in_batches() {
  const sched_param none{};
  if (::sched_getscheduler(0) == SCHED_OTHER) (void)::sched_setscheduler(0, SCHED_BATCH, &none);
}

void close_standard_streams() {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) {
    return;
  }
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    (void)::dup2(null.get(), fd);
  }
}

Result<UniqueFd> open_signals(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int s : signals) {
    ::sigaddset(&set, s);
  }
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
    return fail_errno("cannot block signals");
  }
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    return fail_errno("cannot receive signals");
  }
  return fd;
}

std::optional<int> next_signal(int fd) {
  signalfd_siginfo info{};
  if (::read(fd, &info, sizeof info) != sizeof info) {
    return std::nullopt;
  }
  return static_cast<int>(info.ssi_signo);
}

std::optional<Ended> reap_child() {
  int status = 0;
  const pid_t pid = ::waitpid(-1, &status, WNOHANG);
  if (pid <= 0) {
    return std::nullopt;
  }
  Ended ended{.pid = pid};
  if (WIFEXITED(status)) {
    ended.how = "ended with exit status " + std::to_string(WEXITSTATUS(status));
    ended.clean = WEXITSTATUS(status) == 0;
  } else {
    ended.how = "was killed by signal " + std::to_string(WTERMSIG(status));
  }
  return ended;
}

Result<void> replace_file(const std::string& path, const std::string& text, unsigned mode) {
  const std::string fresh = path + ".new";
  const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd || !write_all(fd.get(), text) || ::rename(fresh.c_str(), path.c_str()) != 0) {
    return fail_errno("cannot write " + path);
  }
  return {};
}

void end_child(pid_t pid) {
  if (::kill(pid, SIGKILL) != 0) {
    return;
  }
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
  return replace_file(path, std::to_string(pid) + "\n", 0644);
}

void remove_file(const std::string& path) { (void)::unlink(path.c_str()); }

void notify_service_manager(const std::string& state) {
  const char* where =
      std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): read by the single-threaded monitor
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (where == nullptr || std::strlen(where) >= sizeof address.sun_path) {
    return;
  }
  const std::size_t length = std::strlen(where);
  std::memcpy(address.sun_path, where, length);
  if (address.sun_path[0] == '@') {
    address.sun_path[0] = '\0';
  }
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return;
  }
  (void)::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

Result<UniqueFd> make_memory_file(const std::string& name, const std::string& text) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || !write_all(fd.get(), text)) {
    return fail_errno("cannot make a memory file");
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return fail_errno("cannot seal a memory file");
  }
  return fd;
}

Result<std::string> read_memory_file(int fd, std::size_t max_octets) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || info.st_size < 0 || static_cast<std::size_t>(info.st_size) > max_octets) {
    return fail("a memory file has no possible size");
  }
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const auto n = ::pread(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (n <= 0 && errno != EINTR) {
      return fail_errno("cannot read a memory file");
    }
    done += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  return text;
}

}  // namespace cygnet::io
