// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's PF_KEY (af_key) sockets. Bytes only: wire/pfkey knows what they say.
#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

// CAP_NET_ADMIN is needed to open one, and not to use it. The kernel drops in silence what a socket has no room for.
class PfkeySocket {
 public:
  // Fails with words where the kernel has no PF_KEY.
  [[nodiscard]] static Result<PfkeySocket> open();
  // The kernel refuses with a message; an errno of its own comes only where none can come.
  [[nodiscard]] Result<void> send(ByteView message);
  // One message; waits for it, seconds at most.
  [[nodiscard]] Result<Bytes> receive();
  // One that is there already.
  [[nodiscard]] std::optional<Bytes> receive_now();
  [[nodiscard]] int descriptor() const { return fd_.get(); }

 private:
  explicit PfkeySocket(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace cygnet::io
