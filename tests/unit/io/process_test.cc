// SPDX-License-Identifier: Apache-2.0
#include "io/process.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace cygnet::io {
namespace {

int policy() { return ::sched_getscheduler(0); }

// What a child process says, as its exit status.
int in_child(const std::function<int()>& what) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(what());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(WorkInBatches, IsPassedOn) {
  if (policy() != SCHED_OTHER) GTEST_SKIP() << "somebody has chosen another policy for this test";
  EXPECT_EQ(in_child([] {
              work_in_batches();
              return policy() == SCHED_BATCH ? in_child(policy) : -1;
            }),
            SCHED_BATCH);
}

TEST(WorkInBatches, LeavesAPolicyAloneThatSomebodyChose) {
  EXPECT_EQ(in_child([] {
              const sched_param none{};
              if (::sched_setscheduler(0, SCHED_IDLE, &none) != 0) return SCHED_IDLE;
              work_in_batches();
              return policy();
            }),
            SCHED_IDLE);
}

}  // namespace
}  // namespace cygnet::io
