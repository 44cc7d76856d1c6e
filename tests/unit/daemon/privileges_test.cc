// SPDX-License-Identifier: Apache-2.0

// What a confined process can still do, tried in one.
#include "daemon/privileges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

namespace cygnet::daemon {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CYGNET_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CYGNET_SANITIZED 1
#endif

struct Silent final : Logger {
  void write(const LogEntry& /*entry*/) override {}
};

// The errno of the call in a process confined so; 0: it succeeds.
int tried(Confinement how, const std::function<long()>& call) {
  const pid_t child = ::fork();
  if (child == 0) {
    Silent log;
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !confine(how, false, log)) ::_exit(255);
    ::_exit(call() >= 0 ? 0 : errno);
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class Confined : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(CYGNET_SANITIZED)
    GTEST_SKIP() << "sanitizers run without the filter";
#endif
    if (tried(Confinement::kIke, [] { return 0L; }) == 255) GTEST_SKIP() << "this kernel takes no filter";
  }
};

TEST_F(Confined, IkeHasSocketsOfItsOwnKindsOnly) {
  const auto socket = [](int family, int type, int protocol) {
    return tried(Confinement::kIke, [=] { return long{::socket(family, type, protocol)}; });
  };
  EXPECT_EQ(socket(AF_INET, SOCK_STREAM, 0), 0);
  EXPECT_EQ(socket(AF_INET6, SOCK_DGRAM, 0), 0);
  EXPECT_EQ(socket(AF_UNIX, SOCK_STREAM, 0), 0);
  EXPECT_EQ(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), 0);
  EXPECT_EQ(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), EPERM);
  EXPECT_EQ(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
  EXPECT_EQ(socket(AF_ALG, SOCK_SEQPACKET, 0), EPERM);
}

TEST_F(Confined, ThreadsButNeitherProcessesNorNamespaces) {
  for (const auto how : {Confinement::kIke, Confinement::kToken}) {
    EXPECT_EQ(tried(how,
                    [] {
                      std::thread([] {}).join();
                      return 0L;
                    }),
              0);
    EXPECT_EQ(tried(how, [] { return ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0); }), EPERM);
    EXPECT_EQ(tried(how, [] { return ::syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr); }), EPERM);
    EXPECT_EQ(tried(how, [] { return long{::fork()}; }), EPERM);
    EXPECT_EQ(tried(how, [] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
    EXPECT_EQ(tried(how,
                    [] {
                      return ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, nullptr, nullptr, nullptr, 0);
                    }),
              EPERM);
  }
  EXPECT_EQ(tried(Confinement::kIke, [] { return long{::unshare(CLONE_NEWUSER)}; }), EPERM);
}

TEST_F(Confined, OtherProcessesAreOutOfReach) {
  const pid_t parent = ::getpid();
  for (const auto how : {Confinement::kIke, Confinement::kEngine, Confinement::kKeys, Confinement::kToken}) {
    EXPECT_EQ(tried(how, [=] { return ::syscall(SYS_tgkill, parent, parent, 0); }), EPERM);
    EXPECT_EQ(tried(how, [] { return ::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0); }), 0);
    rlimit limit{};
    EXPECT_EQ(tried(how, [&] { return ::syscall(SYS_prlimit64, parent, RLIMIT_NOFILE, nullptr, &limit); }), EPERM);
    EXPECT_EQ(tried(how, [&] { return ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit); }), 0);
    cpu_set_t cpus;
    ASSERT_EQ(::sched_getaffinity(0, sizeof cpus, &cpus), 0);
    const auto place = [&](pid_t whom) { return long{::sched_setaffinity(whom, sizeof cpus, &cpus)}; };
    EXPECT_EQ(tried(how, [&] { return place(parent); }), EPERM);
    EXPECT_EQ(tried(how, [&] { return place(0); }), how == Confinement::kKeys ? EPERM : 0);
  }
  for (const auto how : {Confinement::kIke, Confinement::kEngine, Confinement::kKeys, Confinement::kToken}) {
    EXPECT_EQ(tried(how, [=] { return long{::kill(parent, 0)}; }), EPERM);
    siginfo_t info{};
    info.si_code = SI_QUEUE;
    EXPECT_EQ(tried(how, [=, &info] { return ::syscall(SYS_rt_sigqueueinfo, parent, SIGWINCH, &info); }), EPERM);
    EXPECT_EQ(tried(how, [=, &info] { return ::syscall(SYS_rt_tgsigqueueinfo, parent, parent, SIGWINCH, &info); }),
              EPERM);
    EXPECT_EQ(tried(how, [] { return long{::setpriority(PRIO_USER, ::getuid(), 19)}; }), EPERM);
  }
}

// A descriptor that has an owner sends it signals: whichever, and to whom of the same user it likes.
TEST_F(Confined, DescriptorsSendNoSignals) {
  const pid_t parent = ::getpid();
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const int fd = pipe[0];
  // What the kernel does not look at does not help.
  constexpr unsigned long kBeyond = 1UL << 32U;
  for (const auto how : {Confinement::kIke, Confinement::kEngine, Confinement::kKeys, Confinement::kToken}) {
    for (const unsigned long beyond : {0UL, kBeyond}) {
      EXPECT_EQ(tried(how, [=] { return ::syscall(SYS_fcntl, fd, beyond | F_SETOWN, parent); }), EPERM);
      EXPECT_EQ(tried(how, [=] { return ::syscall(SYS_fcntl, fd, beyond | F_SETSIG, SIGWINCH); }), EPERM);
      EXPECT_EQ(tried(how, [=] { return ::syscall(SYS_ioctl, fd, beyond | FIOSETOWN, &parent); }), EPERM);
    }
    EXPECT_EQ(tried(how, [=] { return long{::fcntl(fd, F_GETFL)}; }), 0);
    int waiting = 0;
    EXPECT_EQ(tried(how, [=, &waiting] { return long{::ioctl(fd, FIONREAD, &waiting)}; }), 0);
  }
  (void)::close(pipe[0]);
  (void)::close(pipe[1]);
}

}  // namespace
}  // namespace cygnet::daemon
