/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded into linux.uml (tests/lab/uml.py): what User-Mode Linux 6.12 cannot do for itself on every host.
 *
 * It saves 2,696 octets of a process's extended registers, and a host whose processors have more (AMX: 11,008) takes
 * only a whole area back: PTRACE_SETREGSET fails with EFAULT and the guest dies at its first process. Here what
 * User-Mode Linux knows is laid over what the host has.
 *
 * On a busy host it now and then misses an event of its network device, for an event is told once: a packet then lies
 * before the guest until the next one comes. Here it looks 20 times a second, and is told again what is still there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <time.h>

/* Of the standard form (Intel SDM volume 1, 13.4): XSTATE_BV says which components are there. */
enum { kXstateBv = 512, kLargest = 65536 };
static const uint64_t kFirstUnknown = 17; /* components above it lie behind what User-Mode Linux saves */

static long (*next)(int, int, void*, void*);

static long set_whole(int pid, void* note, const struct iovec* part) {
  static unsigned char whole[kLargest];
  struct iovec all = {whole, sizeof whole};
  uint64_t present;
  if (next(PTRACE_GETREGSET, pid, note, &all) != 0) return -1;
  if (all.iov_len <= part->iov_len || part->iov_len < kXstateBv + sizeof present) {
    errno = EFAULT;
    return -1;
  }
  memcpy(whole, part->iov_base, part->iov_len);
  memcpy(&present, whole + kXstateBv, sizeof present);
  present &= (UINT64_C(1) << kFirstUnknown) - 1;
  memcpy(whole + kXstateBv, &present, sizeof present);
  return next(PTRACE_SETREGSET, pid, note, &all);
}

long ptrace(enum __ptrace_request request, ...) {
  va_list rest;
  va_start(rest, request);
  const int pid = va_arg(rest, int);
  void* const address = va_arg(rest, void*);
  void* const data = va_arg(rest, void*);
  va_end(rest);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "ptrace");
  const long done = next((int)request, pid, address, data);
  if (done == 0 || request != PTRACE_SETREGSET || errno != EFAULT || (uintptr_t)address != NT_X86_XSTATE) return done;
  return set_whole(pid, address, data);
}

/* What it asked to be told of. */
enum { kMost = 64, kLookAgainNs = 50000000 };
static struct {
  int epoll, fd;
  struct epoll_event event;
} known[kMost];
static int count;

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event* event) {
  static int (*next_ctl)(int, int, int, struct epoll_event*);
  if (next_ctl == NULL) *(void**)&next_ctl = dlsym(RTLD_NEXT, "epoll_ctl");
  const int done = next_ctl(epoll, operation, fd, event);
  if (done != 0) return done;
  int place = 0;
  while (place < count && (known[place].epoll != epoll || known[place].fd != fd)) ++place;
  if (operation == EPOLL_CTL_DEL) {
    if (place < count) known[place] = known[--count];
  } else if (place < kMost) {
    if (place == count) ++count;
    known[place].epoll = epoll;
    known[place].fd = fd;
    known[place].event = *event;
  }
  return done;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* It comes here from its handler of SIGIO only, so that signal is taken from now on. */
int epoll_wait(int epoll, struct epoll_event* events, int room, int timeout) {
  static int (*next_wait)(int, struct epoll_event*, int, int);
  static int64_t look_again_at;
  if (next_wait == NULL) {
    struct sigevent signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGIO};
    const struct itimerspec often = {{0, kLookAgainNs}, {0, kLookAgainNs}};
    timer_t timer;
    *(void**)&next_wait = dlsym(RTLD_NEXT, "epoll_wait");
    if (timer_create(CLOCK_MONOTONIC, &signal, &timer) == 0) timer_settime(timer, 0, &often, NULL);
  }
  if (now_ns() >= look_again_at) {
    look_again_at = now_ns() + kLookAgainNs / 2;
    for (int i = 0; i < count; ++i) {
      struct epoll_event again = known[i].event;
      if (known[i].epoll == epoll) epoll_ctl(epoll, EPOLL_CTL_MOD, known[i].fd, &again);
    }
  }
  return next_wait(epoll, events, room, timeout);
}
