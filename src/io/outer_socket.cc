// SPDX-License-Identifier: Apache-2.0
#include "io/outer_socket.h"

#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

constexpr int kReceiveBufferOctets = 8 << 20;
constexpr int kSendBufferOctets = 4 << 20;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Result<UniqueFd> open_socket(Family family, int type, int protocol, const std::string& what) {
  UniqueFd fd(::socket(family == Family::kV4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd && errno == EAFNOSUPPORT) {
    return fail(what + ": this kernel has no " + (family == Family::kV4 ? "IPv4" : "IPv6"));
  }
  if (!fd) {
    return fail_errno(what + " (root, or CAP_NET_RAW and CAP_NET_ADMIN, are needed)");
  }
  return fd;
}

// RFC 4301 section 7 and 8.2: the size of outer packets is the engine's business, so the kernel neither fragments what
// must not be nor believes ICMP in our place; errors come to us.
void set_common_options(int fd, Family family, bool path_mtu) {
  const bool v4 = family == Family::kV4;
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferOctets)) {
    (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBufferOctets);
  }
  if (!set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, kSendBufferOctets)) {
    (void)set_option(fd, SOL_SOCKET, SO_SNDBUF, kSendBufferOctets);
  }
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  (void)set_option(fd, level, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
  (void)set_option(fd, level, v4 ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
  if (path_mtu) {
    (void)set_option(fd, level, v4 ? IP_RECVERR : IPV6_RECVERR, 1);
  } else {
    // IKE datagrams may be larger than the path: let them be fragmented (RFC 7296 section 2).
    (void)set_option(fd, level, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, v4 ? IP_PMTUDISC_DONT : IPV6_PMTUDISC_DONT);
  }
}

Result<void> set_mark(int fd, std::uint32_t mark) {
  if (mark != 0 && ::setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) {
    return fail_errno("cannot mark our own packets (SO_MARK; CAP_NET_ADMIN is needed)");
  }
  return {};
}

Result<void> bind_any(int fd, Family family, std::uint16_t port) {
  const auto address = SocketAddress::of({IpAddress::any(family), port});
  if (::bind(fd, reinterpret_cast<const sockaddr*>(address.storage.data()), address.size) == 0) {
    return {};
  }
  if (errno == EADDRINUSE) {
    return fail(
        "UDP port " + std::to_string(port) + " (" + (family == Family::kV4 ? "IPv4" : "IPv6") +
        ") is in use: another IKE daemon (strongSwan's charon, Libreswan's pluto, another cygnetd) runs here. See who "
        "with: ss -ulpn sport = :" +
        std::to_string(port) + "; stop it, or choose other ports in config setup");
  }
  return fail_errno("cannot bind UDP port " + std::to_string(port));
}

}  // namespace

SocketAddress SocketAddress::of(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.bytes().data(), 4);
    std::memcpy(out.storage.data(), &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    std::memcpy(&in.sin6_addr, endpoint.address.bytes().data(), 16);
    std::memcpy(out.storage.data(), &in, sizeof in);
    out.size = sizeof in;
  }
  return out;
}

IpAddress address_of_v6_socket(ByteView octets) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0,    0,
                                                    0, 0, 0, 0, 0xff, 0xff};  // RFC 4291 section 2.5.5.2
  const bool mapped = std::equal(kMapped.begin(), kMapped.end(), octets.begin());
  return IpAddress::from_bytes(mapped ? octets.subspan(kMapped.size()) : octets);
}

std::optional<Endpoint> endpoint_of(const void* address, std::size_t size) {
  sa_family_t family = 0;
  if (size < sizeof family) {
    return std::nullopt;
  }
  std::memcpy(&family, address, sizeof family);
  if (family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    return Endpoint{IpAddress::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  if (family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in{};
    std::memcpy(&in, address, sizeof in);
    return Endpoint{address_of_v6_socket({in.sin6_addr.s6_addr, 16}), ntohs(in.sin6_port)};
  }
  return std::nullopt;
}

Result<OuterSocket> open_udp(Family family, std::uint16_t port, std::uint32_t mark, bool encapsulation,
                             bool one_of_several) {
  auto fd = open_socket(family, SOCK_DGRAM, IPPROTO_UDP, "cannot open a UDP socket");
  if (!fd) {
    return std::unexpected(fd.error());
  }
  if (family == Family::kV6) {
    (void)set_option(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  }
  set_common_options(fd->get(), family, encapsulation);
  (void)set_option(fd->get(), SOL_UDP, UDP_GRO, 1);
  if (auto marked = set_mark(fd->get(), mark); !marked) {
    return std::unexpected(marked.error());
  }
  if (one_of_several && !set_option(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1)) {
    return fail_errno("cannot share a UDP port among several sockets (SO_REUSEPORT)");
  }
  if (auto bound = bind_any(fd->get(), family, port); !bound) {
    return std::unexpected(bound.error());
  }
  return OuterSocket{.fd = std::move(*fd), .kind = OuterKind::kUdp, .family = family, .port = port};
}

Result<OuterSocket> adopt_udp(UniqueFd fd, Family family, std::uint16_t port) {
  int type = 0;
  int protocol = 0;
  socklen_t octets = sizeof type;
  const bool datagrams = ::getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &octets) == 0 && type == SOCK_DGRAM;
  octets = sizeof protocol;
  const bool udp =
      datagrams && ::getsockopt(fd.get(), SOL_SOCKET, SO_PROTOCOL, &protocol, &octets) == 0 && protocol == IPPROTO_UDP;
  sockaddr_storage name{};
  octets = sizeof name;
  if (!udp || ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &octets) != 0) {
    return fail("the descriptor is no UDP socket");
  }
  const auto local = endpoint_of(&name, octets);
  if (!local || local->address.family() != family || local->port != port) {
    return fail("the socket is bound to another port or address family than it is said to be");
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno("the socket cannot be made non-blocking");
  }
  set_common_options(fd.get(), family, true);
  return OuterSocket{.fd = std::move(fd), .kind = OuterKind::kUdp, .family = family, .port = port};
}

bool takes_both_families(const OuterSocket& socket) {
  int only_v6 = 1;
  socklen_t octets = sizeof only_v6;
  return socket.family == Family::kV6 &&
         ::getsockopt(socket.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &octets) == 0 && only_v6 == 0;
}

Result<OuterSocket> open_esp(Family family, std::uint32_t mark) {
  auto fd = open_socket(family, SOCK_RAW, IPPROTO_ESP, "cannot open a raw socket for ESP");
  if (!fd) {
    return std::unexpected(fd.error());
  }
  set_common_options(fd->get(), family, true);
  if (auto marked = set_mark(fd->get(), mark); !marked) {
    return std::unexpected(marked.error());
  }
  return OuterSocket{.fd = std::move(*fd), .kind = OuterKind::kEsp, .family = family};
}

Result<OuterSocket> open_ah(Family family, std::uint32_t mark) {
  auto fd = open_socket(family, SOCK_RAW, IPPROTO_AH, "cannot open a raw socket for AH");
  if (!fd) {
    return std::unexpected(fd.error());
  }
  set_common_options(fd->get(), family, true);
  if (family == Family::kV6) {
    // A raw IPv6 socket hides the headers in front; the receiver puts them together again from these.
    for (const int option : {IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS, IPV6_RECVRTHDR, IPV6_RECVDSTOPTS}) {
      (void)set_option(fd->get(), IPPROTO_IPV6, option, 1);
    }
  }
  if (auto marked = set_mark(fd->get(), mark); !marked) {
    return std::unexpected(marked.error());
  }
  return OuterSocket{.fd = std::move(*fd), .kind = OuterKind::kAh, .family = family};
}

Result<void> take_share_of_spis(const OuterSocket& socket, std::uint32_t index, std::uint32_t count,
                                std::uint32_t none_with) {
  // raw(7): with IPv4 the filter sees the IP header too, with IPv6 it begins behind it. The SPI stands first in ESP
  // (RFC 4303 section 2), and behind four octets in AH (RFC 4302 section 2).
  const std::uint32_t spi_at = socket.kind == OuterKind::kAh ? 4 : 0;
  std::array<sock_filter, 6> code{{BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), BPF_STMT(BPF_LD | BPF_W | BPF_IND, spi_at),
                                   BPF_JUMP(BPF_JMP | BPF_JSET, none_with, 3, 0),
                                   BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count), BPF_JUMP(BPF_JMP | BPF_JEQ, index, 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, 0xffffffffU)}};
  std::vector<sock_filter> program(code.begin(), code.end());
  if (socket.family == Family::kV6) {
    program.erase(program.begin());
    program[0] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, spi_at);
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::setsockopt(socket.fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    return fail_errno("cannot divide ESP or AH among several sockets (SO_ATTACH_FILTER)");
  }
  return {};
}

Result<void> part_by_spi(const OuterSocket& any_of_them, std::uint32_t count, std::uint32_t kernel_bit) {
  // socket(7), SO_ATTACH_REUSEPORT_CBPF: what is returned is the number of the socket. The filter begins behind the UDP
  // header; a datagram that is too short for the load (a keepalive) goes to the first one, and so does IKE, whose
  // marker is zero (RFC 3948 section 2.2).
  std::array<sock_filter, 5> program{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                                      BPF_JUMP(BPF_JMP | BPF_JSET, kernel_bit, 0, 1), BPF_STMT(BPF_RET | BPF_K, count),
                                      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count), BPF_STMT(BPF_RET | BPF_A, 0)}};
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::setsockopt(any_of_them.fd.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) != 0) {
    return fail_errno("cannot part the kernel's ESP from our own (SO_ATTACH_REUSEPORT_CBPF)");
  }
  return {};
}

void take_single_datagrams(int udp_socket) { (void)set_option(udp_socket, SOL_UDP, UDP_GRO, 0); }

Result<OuterSocket> open_clear(Family family, std::uint32_t mark) {
  auto fd = open_socket(family, SOCK_RAW, IPPROTO_RAW, "cannot open a raw socket");
  if (!fd) {
    return std::unexpected(fd.error());
  }
  if (auto marked = set_mark(fd->get(), mark); !marked) {
    return std::unexpected(marked.error());
  }
  return OuterSocket{.fd = std::move(*fd), .kind = OuterKind::kClear, .family = family};
}

void read_errors(const OuterSocket& socket, const std::function<void(const OuterError&)>& on_error) {
  std::array<std::uint8_t, 2048> data{};
  alignas(cmsghdr) std::array<char, 512> control{};
  for (int i = 0; i < 256; ++i) {
    sockaddr_in6 name{};
    iovec iov{data.data(), data.size()};
    msghdr header{};
    header.msg_name = &name;
    header.msg_namelen = sizeof name;
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto n = ::recvmsg(socket.fd.get(), &header, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0) {
      break;
    }
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
      const bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
      if ((!v4 && !v6) || c->cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) {
        continue;
      }
      sock_extended_err error{};
      std::memcpy(&error, CMSG_DATA(c), sizeof error);
      OuterError out{.error = static_cast<int>(error.ee_errno),
                     .mtu = error.ee_errno == EMSGSIZE ? error.ee_info : 0,
                     .local = error.ee_origin == SO_EE_ORIGIN_LOCAL};
      if (const auto remote = endpoint_of(&name, header.msg_namelen)) {
        out.remote = *remote;
      }
      if (!out.local) {
        out.quoted = ByteView(data).first(static_cast<std::size_t>(n));
      }
      on_error(out);
    }
  }
  // The pending error itself, lest the next call fail in its place.
  int pending = 0;
  socklen_t size = sizeof pending;
  (void)::getsockopt(socket.fd.get(), SOL_SOCKET, SO_ERROR, &pending, &size);
}

}  // namespace cygnet::io
