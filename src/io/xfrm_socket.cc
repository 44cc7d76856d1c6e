// SPDX-License-Identifier: Apache-2.0
#include "io/xfrm_socket.h"

#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

constexpr std::size_t kReceiveBuffer = 64UL * 1024;
constexpr int kEventBufferOctets = 16 << 20;
constexpr time_t kPatienceSeconds = 5;
// <netinet/in.h> names them only in some C libraries.
constexpr int kIpXfrmPolicy = 17;
constexpr int kIpv6XfrmPolicy = 35;

Result<UniqueFd> open_netlink(int flags) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_XFRM));
  if (!fd && errno == EPROTONOSUPPORT) {
    return fail("this kernel has no IPsec that can be driven (NETLINK_XFRM, module xfrm_user): use engine=user");
  }
  if (!fd) return fail_errno("cannot open a NETLINK_XFRM socket");
  return fd;
}

}  // namespace

Result<XfrmSocket> XfrmSocket::open() {
  auto fd = open_netlink(0);
  if (!fd) return std::unexpected(fd.error());
  const int on = 1;
  (void)::setsockopt(fd->get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)::setsockopt(fd->get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  const timeval patience{kPatienceSeconds, 0};
  (void)::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  socklen_t size = sizeof self;
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&self), size) != 0 ||
      ::getsockname(fd->get(), reinterpret_cast<sockaddr*>(&self), &size) != 0) {
    return fail_errno("cannot bind a NETLINK_XFRM socket");
  }
  return XfrmSocket(std::move(*fd), self.nl_pid);
}

Result<void> XfrmSocket::send(ByteView message) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto sent =
      ::sendto(fd_.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent != static_cast<ssize_t>(message.size())) return fail_errno("cannot ask the kernel about IPsec");
  return {};
}

bool XfrmSocket::listen(unsigned group, bool on) {
  return ::setsockopt(fd_.get(), SOL_NETLINK, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group,
                      sizeof group) == 0;
}

Result<Bytes> XfrmSocket::receive() {
  Bytes buffer(kReceiveBuffer);
  for (;;) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    const auto n =
        ::recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("the kernel gives no answer about IPsec");
    if (from.nl_pid != 0) continue;  // only the kernel is asked
    if (static_cast<std::size_t>(n) > buffer.size()) return fail("an answer of the kernel's about IPsec is too long");
    buffer.resize(static_cast<std::size_t>(n));
    return buffer;
  }
}

Result<UniqueFd> open_xfrm_events(std::uint32_t groups) {
  auto fd = open_netlink(SOCK_NONBLOCK);
  if (!fd) return fd;
  // Long enough for the notices of a gateway whose peers all rekey at once.
  if (::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUFFORCE, &kEventBufferOctets, sizeof kEventBufferOctets) != 0) {
    (void)::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &kEventBufferOctets, sizeof kEventBufferOctets);
  }
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  self.nl_groups = groups;
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0) {
    return fail_errno("cannot listen to what the kernel tells about IPsec");
  }
  return fd;
}

bool read_xfrm_events(int fd, const std::function<void(ByteView)>& on_datagram) {
  Bytes buffer(kReceiveBuffer);
  bool lost = false;
  for (;;) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    const auto n = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) {
      lost = true;
      continue;
    }
    if (n < 0) return lost;
    if (from.nl_pid != 0 || static_cast<std::size_t>(n) > buffer.size()) continue;
    on_datagram(ByteView(buffer).first(static_cast<std::size_t>(n)));
  }
}

Result<void> bypass_policies(int fd, Family family) {
  const bool v4 = family == Family::kV4;
  xfrm_userpolicy_info policy{};
  policy.sel.family = v4 ? AF_INET : AF_INET6;
  policy.action = XFRM_POLICY_ALLOW;
  policy.lft = {XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0};
  for (const std::uint8_t direction : {XFRM_POLICY_IN, XFRM_POLICY_OUT}) {
    policy.dir = direction;
    if (::setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? kIpXfrmPolicy : kIpv6XfrmPolicy, &policy,
                     sizeof policy) != 0) {
      return fail_errno("cannot lead IKE past the IPsec policies (IP_XFRM_POLICY)");
    }
  }
  return {};
}

Result<void> take_esp_in_udp(int fd) {
  // Joined datagrams would not be taken apart again before ESP sees them.
  const int off = 0;
  (void)::setsockopt(fd, SOL_UDP, UDP_GRO, &off, sizeof off);
  const int type = UDP_ENCAP_ESPINUDP;
  if (::setsockopt(fd, SOL_UDP, UDP_ENCAP, &type, sizeof type) != 0) {
    return fail_errno("the kernel takes no ESP in UDP (UDP_ENCAP)");
  }
  return {};
}

}  // namespace cygnet::io
