// SPDX-License-Identifier: Apache-2.0
// The clock goes on while the machine sleeps. A time namespace whose boot lies an hour further back stands for a sleep:
// what the kernel counts as time awake does not change in it.
#include "io/clock.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace cygnet::io {
namespace {

using std::chrono::minutes;

constexpr int kPassed = 0, kFailed = 1, kNoNamespace = 2;

int look_an_hour_later(Instant before) {
  if (::unshare(CLONE_NEWTIME) != 0) return kNoNamespace;
  std::ofstream offsets("/proc/self/timens_offsets");
  offsets << "boottime 3600 0" << std::endl;
  if (!offsets) return kNoNamespace;
  // Only children are in it.
  const auto child = ::fork();
  if (child == 0) {
    const auto slept = SystemClock::now() - before;
    ::_exit(slept > minutes(59) && slept < minutes(70) ? kPassed : kFailed);
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(SystemClock, GoesOnWhileTheMachineSleeps) {
  const auto before = SystemClock::now();
  const auto child = ::fork();
  if (child == 0) ::_exit(look_an_hour_later(before));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no time namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), kPassed);
}

}  // namespace
}  // namespace cygnet::io
