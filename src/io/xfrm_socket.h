// SPDX-License-Identifier: Apache-2.0
#pragma once

// NETLINK_XFRM sockets, and what UDP sockets need beside the kernel's IPsec. Bytes only: wire/xfrm knows what they say.
#include <functional>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

// A question and its answers. CAP_NET_ADMIN is needed, here and whenever it is used.
class XfrmSocket {
 public:
  // Fails with words where the kernel has no XFRM at all.
  [[nodiscard]] static Result<XfrmSocket> open();
  [[nodiscard]] Result<void> send(ByteView message);
  // One datagram of answers; waits for it, seconds at most.
  [[nodiscard]] Result<Bytes> receive();
  // What is told to a group comes as well from now on, or no more.
  [[nodiscard]] bool listen(unsigned group, bool on);
  // In the headers of questions: notices of what was changed then carry it, too.
  [[nodiscard]] std::uint32_t port() const { return port_; }

 private:
  XfrmSocket(UniqueFd fd, std::uint32_t port) : fd_(std::move(fd)), port_(port) {}
  UniqueFd fd_;
  std::uint32_t port_ = 0;
};

// What the kernel tells by itself: groups as bits, the first group bit 0. Non-blocking.
[[nodiscard]] Result<UniqueFd> open_xfrm_events(std::uint32_t groups);
// Calls for each datagram that waits. True: the kernel had more to tell than there was room for, and some is lost.
[[nodiscard]] bool read_xfrm_events(int fd, const std::function<void(ByteView)>& on_datagram);

// No policy touches what this socket sends and receives: IKE goes past the IPsec that it sets up.
[[nodiscard]] Result<void> bypass_policies(int fd, Family family);
// The kernel takes ESP from this UDP socket (RFC 3948) and leaves IKE to its reader.
[[nodiscard]] Result<void> take_esp_in_udp(int fd);

}  // namespace cygnet::io
