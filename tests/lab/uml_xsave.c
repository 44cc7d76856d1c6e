/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded into linux.uml (tests/lab/uml.py). User-Mode Linux 6.12 saves 2,696 octets of a process's extended registers,
 * and a host whose processors have more (AMX: 11,008) takes only a whole area back: PTRACE_SETREGSET fails with EFAULT
 * and the guest dies at its first process. Here what User-Mode Linux knows is laid over what the host has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

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
