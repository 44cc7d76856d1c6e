// SPDX-License-Identifier: Apache-2.0
#include "next.h"

#include <dlfcn.h>

#include <atomic>

namespace cygnet::preload {

namespace {

// Several threads may be the first.
template <typename Function>
Function find(std::atomic<Function>& next, const char* name) {
  auto found = next.load(std::memory_order_acquire);
  if (found == nullptr) {
    found = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
    next.store(found, std::memory_order_release);
  }
  return found;
}

}  // namespace

int next_socket(int domain, int type, int protocol) {
  static std::atomic<int (*)(int, int, int)> next;
  return find(next, "socket")(domain, type, protocol);
}

int next_bind(int fd, const sockaddr* address, socklen_t octets) {
  static std::atomic<int (*)(int, const sockaddr*, socklen_t)> next;
  return find(next, "bind")(fd, address, octets);
}

int next_connect(int fd, const sockaddr* address, socklen_t octets) {
  static std::atomic<int (*)(int, const sockaddr*, socklen_t)> next;
  return find(next, "connect")(fd, address, octets);
}

int next_getsockname(int fd, sockaddr* address, socklen_t* octets) {
  static std::atomic<int (*)(int, sockaddr*, socklen_t*)> next;
  return find(next, "getsockname")(fd, address, octets);
}

int next_setsockopt(int fd, int level, int name, const void* value, socklen_t octets) {
  static std::atomic<int (*)(int, int, int, const void*, socklen_t)> next;
  return find(next, "setsockopt")(fd, level, name, value, octets);
}

ssize_t next_recvfrom(int fd, void* buffer, std::size_t octets, int flags, sockaddr* from, socklen_t* from_octets) {
  static std::atomic<ssize_t (*)(int, void*, std::size_t, int, sockaddr*, socklen_t*)> next;
  return find(next, "recvfrom")(fd, buffer, octets, flags, from, from_octets);
}

ssize_t next_recvmsg(int fd, msghdr* message, int flags) {
  static std::atomic<ssize_t (*)(int, msghdr*, int)> next;
  return find(next, "recvmsg")(fd, message, flags);
}

ssize_t next_send(int fd, const void* octets, std::size_t count, int flags) {
  static std::atomic<ssize_t (*)(int, const void*, std::size_t, int)> next;
  return find(next, "send")(fd, octets, count, flags);
}

ssize_t next_write(int fd, const void* octets, std::size_t count) {
  static std::atomic<ssize_t (*)(int, const void*, std::size_t)> next;
  return find(next, "write")(fd, octets, count);
}

ssize_t next_writev(int fd, const iovec* parts, int count) {
  static std::atomic<ssize_t (*)(int, const iovec*, int)> next;
  return find(next, "writev")(fd, parts, count);
}

}  // namespace cygnet::preload
