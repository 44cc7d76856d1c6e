// SPDX-License-Identifier: Apache-2.0
#pragma once

// The CPUs that the calling thread may run on, what it has had of them, and where the network's packets come in
// (sched_setaffinity(2), proc(5)).
#include <sched.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "io/fd.h"

namespace cygnet::io {

// None: the machine has more CPUs than there is room for.
[[nodiscard]] std::optional<cpu_set_t> allowed_cpus();
// False: the kernel says no.
[[nodiscard]] bool allow_cpus(const cpu_set_t& cpus);
[[nodiscard]] cpu_set_t only_cpu(std::uint16_t cpu);

// In nanoseconds, as /proc/thread-self/schedstat has it.
struct SchedulerAccount {
  Duration ran{};
  Duration waited{};         // ready to run, while something else ran
  std::uint64_t stints = 0;  // how often it was put on a CPU
};
[[nodiscard]] std::optional<SchedulerAccount> parse_schedstat(std::string_view text);

// How often each CPU had packets to take in since the machine started: NET_RX of /proc/softirqs.
struct ArrivalCount {
  std::uint16_t cpu = 0;
  std::uint64_t count = 0;
};
// Empty: nothing like it there.
[[nodiscard]] std::vector<ArrivalCount> parse_arrivals(std::string_view softirqs);

// Opens what it reads once: later a process may open nothing any more.
class CpuReader {
 public:
  // Of the calling thread. None: this kernel keeps no such accounts.
  [[nodiscard]] static std::optional<CpuReader> open();
  [[nodiscard]] std::optional<SchedulerAccount> account() const;
  [[nodiscard]] std::vector<ArrivalCount> arrivals();

 private:
  CpuReader(UniqueFd schedstat, UniqueFd softirqs) : schedstat_(std::move(schedstat)), softirqs_(std::move(softirqs)) {}
  UniqueFd schedstat_;
  UniqueFd softirqs_;
  std::string text_;
};

}  // namespace cygnet::io
