// SPDX-License-Identifier: Apache-2.0
#include "io/command.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "io/clock.h"
#include "io/errno_text.h"
#include "io/process.h"

namespace cygnet::io {

namespace {

constexpr std::size_t kMaxOutput = 300;
constexpr Duration kLook = std::chrono::milliseconds(5);

[[noreturn]] void become(const std::vector<char*>& argv, int input, int output, pid_t parent) {
  // Only async-signal-safe calls between fork and exec.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(input, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 || ::dup2(output, STDERR_FILENO) < 0)
    ::_exit(127);
  // Descriptors above are closed by their flag.
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

std::string to_string(const Command& command) {
  std::string out;
  for (const auto& word : command.words) out += (out.empty() ? "" : " ") + word;
  return out;
}

bool has_program(const std::string& name) {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): read by the single-threaded monitor
  const std::string folders = path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path;
  for (std::size_t begin = 0; begin <= folders.size();) {
    const auto end = std::min(folders.find(':', begin), folders.size());
    if (end > begin && ::access((folders.substr(begin, end - begin) + "/" + name).c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

Result<RunningCommand> start_command(const Command& command) {
  auto input = make_memory_file("cygnet-input", command.input);
  if (!input) return std::unexpected(input.error());
  if (::lseek(input->get(), 0, SEEK_SET) != 0) return fail_errno("cannot run " + to_string(command));
  RunningCommand running{.pid = 0, .output = UniqueFd(::memfd_create("cygnet-output", MFD_CLOEXEC))};
  if (!running.output) return fail_errno("cannot run " + to_string(command));
  std::vector<char*> argv;
  for (const auto& word : command.words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  running.pid = ::fork();
  if (running.pid < 0) return fail_errno("cannot run " + to_string(command));
  if (running.pid == 0) become(argv, input->get(), running.output.get(), parent);
  return running;
}

std::string command_output(const RunningCommand& ended) {
  std::array<char, kMaxOutput> text{};
  const auto n = ended.output ? ::pread(ended.output.get(), text.data(), text.size(), 0) : 0;
  std::string out;
  for (ssize_t i = 0; i < n; ++i) {
    const char c = text[static_cast<std::size_t>(i)];
    out.push_back(c >= ' ' && c < '\x7f' ? c : ' ');
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

Result<void> run_command(const Command& command, Duration patience) {
  auto running = start_command(command);
  if (!running) return std::unexpected(running.error());
  const auto deadline = SystemClock::now() + patience;
  int status = 0;
  while (true) {
    const pid_t ended = ::waitpid(running->pid, &status, WNOHANG);
    if (ended == running->pid) break;
    if (ended < 0 && errno != EINTR) return fail_errno(to_string(command));
    if (SystemClock::now() > deadline) {
      end_child(running->pid);
      return fail("`" + to_string(command) + "` did not end in time");
    }
    std::this_thread::sleep_for(kLook);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail("`" + to_string(command) + "` failed: " + command_output(*running));
}

}  // namespace cygnet::io
