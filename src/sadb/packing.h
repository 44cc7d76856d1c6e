// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages between ike and engine travel together: what comes up in one turn of either process is one datagram of the
// socket between them. Each message has its length in front:
//
//    0                   1                   2                   3
//   +---------------------------------------------------------------+
//   |                            octets                             |
//   +---------------------------------------------------------------+
//   |  the message (messages.h) ...                                 |
//   +---------------------------------------------------------------+
//   |  octets of the next one, if there is one ...
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/unix_socket.h"

namespace cygnet::sadb {

inline constexpr std::size_t kLengthOctets = 4;

// Whether one more message of this size goes into the same datagram.
[[nodiscard]] inline bool fits(const Bytes& datagram, std::size_t octets) {
  return datagram.size() + kLengthOctets + octets <= io::kMaxMessage;
}
void pack(Bytes& datagram, ByteView message);

// Views into `datagram`, which is refused as a whole if a length is not exactly right.
[[nodiscard]] Result<std::vector<ByteView>> unpack(ByteView datagram);

}  // namespace cygnet::sadb
