// SPDX-License-Identifier: Apache-2.0
#pragma once

// Processes: starting ourselves again in another role, names, signals, pid files, the service manager.
#include <sys/types.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

// The descriptor under which a child of spawn_self() finds its channel.
inline constexpr int kInheritedChannel = 3;

// Runs this program again with the arguments given (argv[0] first). The child keeps standard input, output and error,
// gets `channel` as descriptor 3, dies with SIGKILL when its parent dies, and starts with no signal blocked.
[[nodiscard]] Result<pid_t> spawn_self(const std::vector<std::string>& arguments, const UniqueFd& channel);

void set_process_name(const std::string& name);  // as `ps -o comm` shows it, at most 15 characters

// For processes that work through messages of others: one that wakes up does not take the CPU from whoever has it, but
// waits for its turn, a few milliseconds at most, and then finds more to do at once (SCHED_BATCH). On an idle CPU
// nothing changes. Threads and children that begin later do the same. Nothing happens if somebody has chosen another
// policy for us.
void work_in_batches();

// Standard input, output and error lead nowhere from now on: whoever started us need not wait for them.
void close_standard_streams();

// Blocks the signals and gives a descriptor that turns readable when one comes.
[[nodiscard]] Result<UniqueFd> open_signals(std::initializer_list<int> signals);
[[nodiscard]] std::optional<int> next_signal(int fd);

// A child that has ended: its pid and how it ended ("exit status 1", "killed by signal 9").
struct Ended {
  pid_t pid = 0;
  std::string how;
  bool clean = false;  // exit status 0
};
[[nodiscard]] std::optional<Ended> reap_child();
// Ends a child at once and waits until it is gone, with everything it held open.
void end_child(pid_t pid);

[[nodiscard]] Result<void> write_pid_file(const std::string& path, pid_t pid);
void remove_file(const std::string& path);
// Whole file, replaced at once.
[[nodiscard]] Result<void> replace_file(const std::string& path, const std::string& text, unsigned mode);

// Tells systemd ("READY=1", "RELOADING=1", ...); nothing without NOTIFY_SOCKET. sd_notify(3): one datagram.
void notify_service_manager(const std::string& state);

// A sealed memory file that holds the text, to be passed to another process; and the way back.
[[nodiscard]] Result<UniqueFd> make_memory_file(const std::string& name, const std::string& text);
[[nodiscard]] Result<std::string> read_memory_file(int fd, std::size_t max_octets);

}  // namespace cygnet::io
