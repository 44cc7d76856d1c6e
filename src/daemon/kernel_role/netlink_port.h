// SPDX-License-Identifier: Apache-2.0
#pragma once

// KernelPort over a NETLINK_XFRM socket: one question at a time, answered before the next.
#include <optional>

#include "io/rtnetlink.h"
#include "io/xfrm_socket.h"
#include "sadb/kernel/engine.h"

namespace cygnet::daemon {

class NetlinkPort final : public sadb::kernel::KernelPort {
 public:
  // routes: to find the interface of an address; may be missing.
  explicit NetlinkPort(io::XfrmSocket socket, std::optional<io::RouteSocket> routes = {})
      : socket_(std::move(socket)), routes_(std::move(routes)) {}
  [[nodiscard]] std::expected<std::vector<wire::xfrm::Message>, sadb::kernel::KernelError> ask(
      const wire::xfrm::Message& message) override;
  [[nodiscard]] std::expected<std::vector<wire::xfrm::Message>, sadb::kernel::KernelError> remove(
      const wire::xfrm::Message& message) override;
  // Stands in the notices of what was asked for here.
  [[nodiscard]] std::uint32_t number() const { return socket_.port(); }
  [[nodiscard]] std::uint32_t interface_of(const IpAddress& local) override;

 private:
  io::XfrmSocket socket_;
  std::optional<io::RouteSocket> routes_;
  std::uint32_t sequence_ = 0;
};

// Takes the answers to a question (its header) out of a datagram. Whether that was all of them. What is not understood
// of a dump is somebody else's, and left out; of one answer it is a fault.
[[nodiscard]] std::expected<bool, sadb::kernel::KernelError> take_answers(ByteView datagram,
                                                                          const wire::xfrm::Header& question,
                                                                          std::vector<wire::xfrm::Message>& answers);

}  // namespace cygnet::daemon
