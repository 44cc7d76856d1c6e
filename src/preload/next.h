// SPDX-License-Identifier: Apache-2.0
#pragma once

// The functions of the C library that this one stands in front of.
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>

namespace cygnet::preload {

int next_socket(int domain, int type, int protocol);
int next_bind(int fd, const sockaddr* address, socklen_t octets);
int next_connect(int fd, const sockaddr* address, socklen_t octets);
int next_getsockname(int fd, sockaddr* address, socklen_t* octets);
int next_setsockopt(int fd, int level, int name, const void* value, socklen_t octets);
ssize_t next_recvfrom(int fd, void* buffer, std::size_t octets, int flags, sockaddr* from, socklen_t* from_octets);
ssize_t next_recvmsg(int fd, msghdr* message, int flags);
ssize_t next_send(int fd, const void* octets, std::size_t count, int flags);
ssize_t next_write(int fd, const void* octets, std::size_t count);
ssize_t next_writev(int fd, const iovec* parts, int count);

}  // namespace cygnet::preload
