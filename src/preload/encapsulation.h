// SPDX-License-Identifier: Apache-2.0
#pragma once

// ESP in UDP (RFC 3948) on a port of the wrapped program: the engine shares the port.
#include <sys/socket.h>

namespace cygnet::preload {

// setsockopt(UDP_ENCAP) of a program's UDP socket, before or behind its bind(). A second socket on the same address is
// lent to the engine; the kernel gives datagrams that begin with the non-ESP marker, and keepalives, to the program's,
// all others to the engine's. 0, or -1 with errno.
int share_port(int fd, const void* value, socklen_t octets);
// The program's socket has got its address: what waited for that is done now.
void on_bound(int fd);
// A number that the program has for a new socket: what one with it had asked for before is over.
void on_opened(int fd);
// The port that this UDP socket wants is in use: gives back what a socket of the program's, closed meanwhile, had left
// with the engine. True: try again.
bool release_port(int fd, const sockaddr* address, socklen_t octets);

}  // namespace cygnet::preload
