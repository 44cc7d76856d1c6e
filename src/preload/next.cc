// SPDX-License-Identifier: Apache-2.0
#include "next.h"

#include <dlfcn.h>

namespace cygnet::preload {

namespace {

template <typename Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

int next_socket(int domain, int type, int protocol) {
  static const auto kNext = find<int (*)(int, int, int)>("socket");
  return kNext(domain, type, protocol);
}

int next_bind(int fd, const sockaddr* address, socklen_t octets) {
  static const auto kNext = find<int (*)(int, const sockaddr*, socklen_t)>("bind");
  return kNext(fd, address, octets);
}

int next_getsockname(int fd, sockaddr* address, socklen_t* octets) {
  static const auto kNext = find<int (*)(int, sockaddr*, socklen_t*)>("getsockname");
  return kNext(fd, address, octets);
}

int next_setsockopt(int fd, int level, int name, const void* value, socklen_t octets) {
  static const auto kNext = find<int (*)(int, int, int, const void*, socklen_t)>("setsockopt");
  return kNext(fd, level, name, value, octets);
}

ssize_t next_recvfrom(int fd, void* buffer, std::size_t octets, int flags, sockaddr* from, socklen_t* from_octets) {
  static const auto kNext = find<ssize_t (*)(int, void*, std::size_t, int, sockaddr*, socklen_t*)>("recvfrom");
  return kNext(fd, buffer, octets, flags, from, from_octets);
}

ssize_t next_recvmsg(int fd, msghdr* message, int flags) {
  static const auto kNext = find<ssize_t (*)(int, msghdr*, int)>("recvmsg");
  return kNext(fd, message, flags);
}

}  // namespace cygnet::preload
