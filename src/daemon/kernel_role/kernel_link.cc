// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_role/kernel_link.h"

#include "daemon/kernel_role/netlink_port.h"
#include "daemon/kernel_role/pfkey_port.h"

namespace cygnet::daemon {

namespace {

namespace xfrm = wire::xfrm;
using model::EngineKind;

constexpr std::uint32_t group_bit(xfrm::Group group) { return 1U << (static_cast<std::uint32_t>(group) - 1U); }

std::optional<io::RouteSocket> open_routes() {
  auto routes = io::RouteSocket::open();
  return routes ? std::optional(std::move(*routes)) : std::nullopt;
}

class NetlinkLink final : public KernelLink {
 public:
  NetlinkLink(io::XfrmSocket socket, io::UniqueFd events)
      : port_(std::move(socket), open_routes()), events_(std::move(events)) {}
  sadb::kernel::KernelPort& port() override { return port_; }
  [[nodiscard]] int events() const override { return events_.get(); }
  bool read_events(const std::function<void(const xfrm::Message&)>& on_message, Logger& log) override {
    return io::read_xfrm_events(events_.get(), [&](ByteView datagram) {
      const auto pieces = xfrm::split_messages(datagram);
      for (const auto& piece : pieces ? *pieces : std::vector<ByteView>{}) {
        if (const auto message = xfrm::Message::parse(piece)) {
          // What was asked for here is known.
          if (message->header.port != port_.number()) on_message(*message);
        } else {
          log.debug("", "a notice of the kernel's was not understood: " + message.error().message);
        }
      }
    });
  }

 private:
  NetlinkPort port_;
  io::UniqueFd events_;
};

Result<std::unique_ptr<KernelLink>> open_netlink() {
  auto socket = io::XfrmSocket::open();
  if (!socket) return std::unexpected(socket.error());
  auto events = io::open_xfrm_events(group_bit(xfrm::Group::kAcquire) | group_bit(xfrm::Group::kExpire) |
                                     group_bit(xfrm::Group::kMapping) | group_bit(xfrm::Group::kSa) |
                                     group_bit(xfrm::Group::kPolicy));
  if (!events) return std::unexpected(events.error());
  return std::make_unique<NetlinkLink>(std::move(*socket), std::move(*events));
}

}  // namespace

Result<std::unique_ptr<KernelLink>> open_kernel_link(EngineKind language) {
  return language == EngineKind::kPfkey ? open_pfkey_link() : open_netlink();
}

Result<std::unique_ptr<sadb::kernel::KernelPort>> open_kernel_port(EngineKind language) {
  if (language == EngineKind::kPfkey) {
    auto socket = io::PfkeySocket::open();
    if (!socket) return std::unexpected(socket.error());
    return std::make_unique<PfkeyPort>(std::move(*socket));
  }
  auto socket = io::XfrmSocket::open();
  if (!socket) return std::unexpected(socket.error());
  return std::make_unique<NetlinkPort>(std::move(*socket), open_routes());
}

}  // namespace cygnet::daemon
