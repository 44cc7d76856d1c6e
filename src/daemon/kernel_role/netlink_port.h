// SPDX-License-Identifier: Apache-2.0
#pragma once

// KernelPort over a NETLINK_XFRM socket: one question at a time, answered before the next.
#include "io/xfrm_socket.h"
#include "sadb/kernel/engine.h"

namespace cygnet::daemon {

class NetlinkPort final : public sadb::kernel::KernelPort {
 public:
  explicit NetlinkPort(io::XfrmSocket socket) : socket_(std::move(socket)) {}
  [[nodiscard]] std::expected<std::vector<wire::xfrm::Message>, sadb::kernel::KernelError> ask(
      const wire::xfrm::Message& message) override;

 private:
  // Whether that was all of the answer.
  [[nodiscard]] std::expected<bool, sadb::kernel::KernelError> take(ByteView datagram, bool one_answer,
                                                                    std::vector<wire::xfrm::Message>& answers) const;
  io::XfrmSocket socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace cygnet::daemon
