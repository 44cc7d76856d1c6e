// SPDX-License-Identifier: Apache-2.0
#pragma once

// The wrapped program's connections to the engine. Their paths and the mark come in the environment (`cygnet wrap`).
#include <sys/socket.h>

#include "wire/xfrm/wrap_message.h"

namespace cygnet::preload {

// nullptr: not wrapped, or the program has more rights than who started it.
const char* pfkey_path();
const char* xfrm_path();
// The mark of packets that no route may lead into the device; 0: none.
unsigned exempting_mark();

// A socket of the kind that the flags of `type` ask for, connected. -1 with errno.
int connect_to_engine(const char* path, int type);
// The other end of this socket is the engine's xfrm.sock, or its pfkey.sock.
bool is_xfrm_connection(int fd);
bool is_pfkey_connection(int fd);
// Until there is something to read, or the engine had its time.
void wait_for_answer(int fd);
// Says it and waits for nothing. fd: a connection to xfrm.sock. 0, or -1 with errno.
int tell_engine(int fd, wire::xfrm::WrapType type, unsigned value);
// On a connection of its own, with a socket riding along (-1: none); waits for the answer. The connection stays open
// (the engine forgets what it was lent when it ends) if keep is true. 0, or -1 with errno.
int ask_engine(wire::xfrm::WrapType type, unsigned value, unsigned second, int lent, bool keep);

}  // namespace cygnet::preload
