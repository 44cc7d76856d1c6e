// SPDX-License-Identifier: Apache-2.0
#include "daemon/privileges.h"

#include <asm/ioctls.h>
#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <optional>

#include "io/errno_text.h"

namespace cygnet::daemon {

namespace {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};

std::optional<Account> find_account(const std::string& name) {
  const passwd* entry = ::getpwnam(name.c_str());  // NOLINT(concurrency-mt-unsafe): before any thread exists
  return entry == nullptr ? std::nullopt : std::optional(Account{entry->pw_uid, entry->pw_gid});
}

std::optional<Account> account_for(const std::string& user) {
  const auto account = find_account(user);
  return account ? account : find_account("nobody");
}

Result<void> become(const Account& account, Keep keep) {
  if (keep == Keep::kNetAdmin && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    return io::fail_errno("cannot keep CAP_NET_ADMIN");
  }
  if (::setgroups(0, nullptr) != 0 || ::setresgid(account.gid, account.gid, account.gid) != 0 ||
      ::setresuid(account.uid, account.uid, account.uid) != 0) {
    return io::fail_errno("cannot become an unprivileged user");
  }
  capng_clear(CAPNG_SELECT_BOTH);
  if (keep == Keep::kNetAdmin &&
      capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_ADMIN) != 0) {
    return fail("cannot keep CAP_NET_ADMIN");
  }
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
    return fail("cannot give up capabilities");
  }
  if (::setresuid(0, 0, 0) == 0) {
    return fail("privileges were given up and came back");
  }
  return {};
}

// Sanitizers make system calls of their own: their builds run without the filter. GCC and clang tell it differently.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CYGNET_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(CYGNET_SANITIZED)
constexpr bool kConfined = false;
#else
constexpr bool kConfined = true;
#endif

bool allow(scmp_filter_ctx filter, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    // Calls that this processor or library does not know cannot be made either.
    if (number != __NR_SCMP_ERROR && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0) {
      return false;
    }
  }
  return true;
}

// What all processes live on: memory, descriptors they have, time, the end.
bool allow_common(scmp_filter_ctx filter) {
  return allow(filter, {"read",
                        "write",
                        "writev",
                        "close",
                        "recvmsg",
                        "sendmsg",
                        "epoll_wait",
                        "epoll_pwait",
                        "epoll_ctl",
                        "epoll_pwait2",
                        "poll",
                        "ppoll",
                        "mmap",
                        "munmap",
                        "mremap",
                        "brk",
                        "madvise",
                        "mprotect",
                        "clock_gettime",
                        "getrandom",
                        "futex",
                        "rt_sigprocmask",
                        "rt_sigreturn",
                        "rt_sigaction",
                        "sigaltstack",
                        "exit",
                        "exit_group",
                        "getpid",
                        "gettid",
                        "restart_syscall",
                        "clock_nanosleep",
                        "nanosleep",
                        "sched_yield",
                        "rseq",
                        "membarrier",
                        "fstat",
                        "shutdown",
                        "timerfd_settime",
                        "getuid",
                        "geteuid",
                        "sched_getaffinity",
                        "getppid",
                        "uname"});
}

// keys reads secrets that the monitor passes, and nothing else.
bool allow_keys(scmp_filter_ctx filter) {
  return allow(filter, {"pread64", "lseek", "dup", "getsockopt", "timerfd_settime", "newfstatat"});
}

// engine and ike have sockets, timers and more.
bool allow_network(scmp_filter_ctx filter) {
  return allow(filter, {"recvmmsg", "recvfrom", "sendmmsg", "sendto", "setsockopt", "getsockopt", "getsockname", "dup",
                        "newfstatat", "lseek", "pread64", "readv", "gettimeofday", "time", "timerfd_create",
                        "epoll_create1", "eventfd2", "sysinfo", "accept4"});
}

// ike also answers the command line, has a few threads, and asks the kernel about addresses and the resolver about
// names.
bool allow_ike(scmp_filter_ctx filter) {
  return allow(filter, {"accept4", "connect", "bind", "getpeername", "openat", "access", "faccessat", "faccessat2",
                        "set_robust_list", "prctl", "statx", "stat", "readlink", "getdents64", "sched_getparam",
                        "sched_getscheduler", "set_tid_address", "socketpair", "gethostname"});
}

// Values of arguments (seccomp sees no memory behind pointers).
constexpr scmp_datum_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                     CLONE_NEWPID | static_cast<scmp_datum_t>(CLONE_NEWNET);

template <typename... Conditions>
bool allow_if(scmp_filter_ctx filter, int number, Conditions... conditions) {
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, sizeof...(conditions), conditions...) == 0;
}

// A signal to itself (abort() does that), its own limits.
bool allow_upon_itself(scmp_filter_ctx filter) {
  const auto self = static_cast<scmp_datum_t>(::getpid());
  return allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, self)) &&
         allow_if(filter, SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0));
}

// What is done with descriptors, by name: F_SETOWN with F_SETSIG (or FIOSETOWN) would send any signal to any process of
// the same user.
bool allow_with_descriptors(scmp_filter_ctx filter) {
  const auto allow_each = [&](int call, std::initializer_list<unsigned long> commands) {
    return std::ranges::all_of(commands, [&](unsigned long command) {
      return allow_if(filter, call, SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command)));
    });
  };
  return allow_each(SCMP_SYS(fcntl), {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL}) &&
         allow_each(SCMP_SYS(ioctl),
                    {SIOCOUTQ, FIONREAD, FIONBIO, TCGETS, SIOCGIFNAME, SIOCGIFINDEX, TUNGETIFF, TUNSETOFFLOAD});
}

// The thread that calls; nobody else's.
bool allow_own_place(scmp_filter_ctx filter) {
  return allow_if(filter, SCMP_SYS(sched_setaffinity), SCMP_A0(SCMP_CMP_EQ, 0));
}

// Threads, no processes, no namespaces. What clone3() is given cannot be seen: the C library falls back to clone().
bool allow_threads(scmp_filter_ctx filter) {
  return allow_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaces | CLONE_THREAD, CLONE_THREAD)) &&
         seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 && allow_own_place(filter);
}

// Netlink for routes alone: getaddrinfo() asks there for addresses.
bool allow_sockets(scmp_filter_ctx filter) {
  bool good = allow_if(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    good = good && allow_if(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
  }
  return good;
}

// What a library for tokens never needs, and somebody who has taken it over would like to have.
bool forbid_token(scmp_filter_ctx filter) {
  const auto forbid = [&](const char* name) {
    const int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR || seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) == 0;
  };
  for (const char* name : {"execve",
                           "execveat",
                           "fork",
                           "vfork",
                           "ptrace",
                           "process_vm_readv",
                           "process_vm_writev",
                           "kill",
                           "tkill",
                           "rt_sigqueueinfo",
                           "rt_tgsigqueueinfo",
                           "setpriority",
                           "ioprio_set",
                           "migrate_pages",
                           "move_pages",
                           "kcmp",
                           "process_madvise",
                           "process_mrelease",
                           "pidfd_open",
                           "pidfd_getfd",
                           "pidfd_send_signal",
                           "mount",
                           "umount2",
                           "move_mount",
                           "open_tree",
                           "fsopen",
                           "fsmount",
                           "pivot_root",
                           "chroot",
                           "setns",
                           "unshare",
                           "bpf",
                           "perf_event_open",
                           "userfaultfd",
                           "keyctl",
                           "add_key",
                           "request_key",
                           "init_module",
                           "finit_module",
                           "delete_module",
                           "kexec_load",
                           "kexec_file_load",
                           "io_uring_setup",
                           "io_uring_enter",
                           "io_uring_register",
                           "personality",
                           "swapon",
                           "swapoff",
                           "reboot",
                           "settimeofday",
                           "clock_settime",
                           "name_to_handle_at",
                           "open_by_handle_at"}) {
    if (!forbid(name)) return false;
  }
  const auto forbid_if = [&](int number, scmp_arg_cmp condition) {
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 1, condition) == 0;
  };
  for (scmp_datum_t flag = 1; flag <= kNamespaces; flag <<= 1U) {
    if ((flag & kNamespaces) != 0 && !forbid_if(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag))) return false;
  }
  // The kernel looks at the lower half of these.
  constexpr scmp_datum_t kLower = 0xffffffff;
  for (const scmp_datum_t command : {F_SETOWN, F_SETOWN_EX, F_SETSIG}) {
    if (!forbid_if(SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_MASKED_EQ, kLower, command))) return false;
  }
  for (const scmp_datum_t command : {FIOSETOWN, SIOCSPGRP}) {
    if (!forbid_if(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, kLower, command))) return false;
  }
  for (const int call : {SCMP_SYS(prlimit64), SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_setscheduler),
                         SCMP_SYS(sched_setparam), SCMP_SYS(sched_setattr)}) {
    if (!forbid_if(call, SCMP_A0(SCMP_CMP_NE, 0))) return false;
  }
  const auto self = static_cast<scmp_datum_t>(::getpid());
  // A process is what is cloned without CLONE_THREAD: so does fork().
  return forbid_if(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) &&
         seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
         forbid_if(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_NE, self)) &&
         forbid_if(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_NE, static_cast<scmp_datum_t>(AF_UNIX)));
}

}  // namespace

void leave_network() { (void)::unshare(CLONE_NEWNET); }

bool user_exists(const std::string& user) { return find_account(user).has_value(); }

std::optional<std::uint32_t> uid_of(const std::string& user) {
  const auto account = account_for(user);
  return account ? std::optional<std::uint32_t>(account->uid) : std::nullopt;
}

Result<void> drop_privileges(const std::string& user, Keep keep) {
  const auto account = account_for(user);
  if (!account) {
    return fail("there is neither a user '" + user + "' nor nobody to run as");
  }
  const pid_t parent = ::getppid();
  if (auto became = become(*account, keep); !became) {
    return became;
  }
  const rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    return io::fail_errno("cannot harden the process");
  }
  if (::getppid() != parent) {
    return fail("the monitor has ended");
  }
  return {};
}

namespace {

Result<void> load_filter(Confinement how) {
  const bool foreign = how == Confinement::kToken;
  scmp_filter_ctx filter = seccomp_init(foreign ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) {
    return fail("cannot make a system call filter");
  }
  // Threads that exist already are bound as well.
  const bool built = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
                     (foreign ? forbid_token(filter)
                              : allow_common(filter) && allow_upon_itself(filter) && allow_with_descriptors(filter) &&
                                    (how == Confinement::kKeys ? allow_keys(filter) : allow_network(filter)) &&
                                    (how != Confinement::kIke ||
                                     (allow_ike(filter) && allow_threads(filter) && allow_sockets(filter))) &&
                                    (how != Confinement::kEngine || allow_own_place(filter)));
  const int loaded = built ? seccomp_load(filter) : -EINVAL;
  seccomp_release(filter);
  if (loaded == -EINVAL || loaded == -ENOSYS) {
    return fail("this kernel takes no system call filter (CONFIG_SECCOMP_FILTER)");
  }
  return loaded == 0 ? Result<void>{} : fail("cannot load the system call filter: " + io::errno_text(-loaded));
}

}  // namespace

Result<void> confine(Confinement how, bool may_fail, Logger& log) {
  if (!kConfined) {
    return {};
  }
  auto loaded = load_filter(how);
  if (!loaded && may_fail) {
    log.warning("", loaded.error().message + ": going on without, as --allow-unconfined says");
    return {};
  }
  return loaded ? loaded
                : fail(loaded.error().message +
                       ": this process must not read what strangers send without it (cygnetd "
                       "--allow-unconfined goes on all the same)");
}

}  // namespace cygnet::daemon
