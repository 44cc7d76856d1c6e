// SPDX-License-Identifier: Apache-2.0

// Loaded into a program by `cygnet wrap`: its PF_KEY and NETLINK_XFRM sockets become connections to the engine, which
// speaks the same messages; a socket that it exempts from IPsec gets the mark that the engine's own packets carry, so
// that no route leads it into the device; and a UDP port on which it asks for ESP in UDP is shared with the engine.
// Whatever else the program does is left alone.
#include <linux/ipsec.h>
#include <linux/netlink.h>
#include <linux/pfkeyv2.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "encapsulation.h"
#include "engine_link.h"
#include "next.h"

namespace {

using namespace cygnet::preload;
using cygnet::wire::xfrm::WrapType;

#define CYGNET_EXPORT extern "C" __attribute__((visibility("default")))

// IP_IPSEC_POLICY or IPV6_IPSEC_POLICY with a policy that says: not this socket.
bool is_pfkey_exemption(int level, int name, const void* value, socklen_t octets) {
  const bool policy =
      (level == IPPROTO_IP && name == IP_IPSEC_POLICY) || (level == IPPROTO_IPV6 && name == IPV6_IPSEC_POLICY);
  sadb_x_policy said{};
  if (!policy || value == nullptr || octets < sizeof said) return false;
  std::memcpy(&said, value, sizeof said);
  return said.sadb_x_policy_type == IPSEC_POLICY_BYPASS;
}

bool is_xfrm_policy(int level, int name) {
  return (level == IPPROTO_IP && name == IP_XFRM_POLICY) || (level == IPPROTO_IPV6 && name == IPV6_XFRM_POLICY);
}

bool is_xfrm_exemption(const void* value, socklen_t octets) {
  xfrm_userpolicy_info said{};
  if (value == nullptr || octets < sizeof said) return false;
  std::memcpy(&said, value, sizeof said);
  return said.action == XFRM_POLICY_ALLOW && octets == sizeof said;  // and no templates
}

int exempt(int fd) {
  const unsigned mark = exempting_mark();
  return mark == 0 ? 0 : next_setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}

// The kernel as sender and receiver of netlink messages.
sockaddr_nl kernel_address() {
  sockaddr_nl out{};
  out.nl_family = AF_NETLINK;
  return out;
}

void give_address(const sockaddr_nl& address, sockaddr* out, socklen_t* octets) {
  std::memcpy(out, &address, *octets < sizeof address ? *octets : sizeof address);
  *octets = sizeof address;
}

int set_netlink_option(int fd, int name, const void* value, socklen_t octets) {
  int said = 0;
  if (value != nullptr && octets >= sizeof said) std::memcpy(&said, value, sizeof said);
  switch (name) {
    case NETLINK_ADD_MEMBERSHIP: return tell_engine(fd, WrapType::kJoin, static_cast<unsigned>(said));
    case NETLINK_DROP_MEMBERSHIP: return tell_engine(fd, WrapType::kLeave, static_cast<unsigned>(said));
    case NETLINK_EXT_ACK: return tell_engine(fd, WrapType::kExtendedAck, said == 0 ? 0 : 1);
    // Nothing is lost here; answers quote no more than the header anyway; requests are looked at strictly.
    case NETLINK_NO_ENOBUFS:
    case NETLINK_CAP_ACK:
    case NETLINK_GET_STRICT_CHK: return 0;
    default: errno = ENOPROTOOPT; return -1;
  }
}

// A netlink program looks whether it was the kernel that sent; a Unix socket names the engine's path, or nothing.
bool is_from_engine(int fd, const void* from, socklen_t octets) {
  sa_family_t family = AF_UNSPEC;
  if (octets >= sizeof family) std::memcpy(&family, from, sizeof family);
  return (octets == 0 || family == AF_UNIX) && is_xfrm_connection(fd);
}

// A kernel has answered a message of PF_KEY when what sends it returns, and there are programs that wait no longer than
// a millisecond for it. There is no answer to who says that an ACQUIRE came to nothing (RFC 2367 section 3.1.6).
ssize_t answered(int fd, ssize_t sent, const void* octets, std::size_t count) {
  sadb_msg head{};
  if (sent <= 0 || pfkey_path() == nullptr || !is_pfkey_connection(fd)) return sent;
  std::memcpy(&head, octets, count < sizeof head ? count : sizeof head);
  if (head.sadb_msg_type != SADB_ACQUIRE) wait_for_answer(fd);
  return sent;
}

}  // namespace

CYGNET_EXPORT int socket(int domain, int type, int protocol) noexcept {
  const int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (domain == AF_NETLINK && protocol == NETLINK_XFRM && xfrm_path() != nullptr) {
    return connect_to_engine(xfrm_path(), type);
  }
  if (domain != PF_KEY || pfkey_path() == nullptr) {
    const int fd = next_socket(domain, type, protocol);
    on_opened(fd);
    return fd;
  }
  if (kind != SOCK_RAW || protocol != PF_KEY_V2) {
    errno = EPROTONOSUPPORT;
    return -1;
  }
  return connect_to_engine(pfkey_path(), type);
}

CYGNET_EXPORT int bind(int fd, const sockaddr* address, socklen_t octets) noexcept {
  const bool netlink = address != nullptr && octets >= sizeof(sockaddr_nl) && address->sa_family == AF_NETLINK;
  if (netlink && is_xfrm_connection(fd)) {
    sockaddr_nl said{};
    std::memcpy(&said, address, sizeof said);
    return tell_engine(fd, WrapType::kGroups, said.nl_groups);
  }
  int done = next_bind(fd, address, octets);
  if (done != 0 && errno == EADDRINUSE && xfrm_path() != nullptr && release_port(fd, address, octets)) {
    done = next_bind(fd, address, octets);
  }
  if (done == 0) on_bound(fd);
  return done;
}

// To the kernel, which is at the other end already.
CYGNET_EXPORT int connect(int fd, const sockaddr* address, socklen_t octets) {
  const bool netlink = address != nullptr && octets >= sizeof(sockaddr_nl) && address->sa_family == AF_NETLINK;
  return netlink && is_xfrm_connection(fd) ? 0 : next_connect(fd, address, octets);
}

CYGNET_EXPORT int getsockname(int fd, sockaddr* address, socklen_t* octets) noexcept {
  if (address == nullptr || octets == nullptr || !is_xfrm_connection(fd)) return next_getsockname(fd, address, octets);
  auto own = kernel_address();
  own.nl_pid = static_cast<unsigned>(::getpid());
  give_address(own, address, octets);
  return 0;
}

CYGNET_EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t octets) noexcept {
  if (is_pfkey_exemption(level, name, value, octets)) return exempt(fd);
  if (xfrm_path() != nullptr && is_xfrm_policy(level, name)) {
    if (is_xfrm_exemption(value, octets)) return exempt(fd);
    errno = EOPNOTSUPP;  // the engine knows no sockets: a policy for one cannot be kept
    return -1;
  }
  if (xfrm_path() != nullptr && level == IPPROTO_UDP && name == UDP_ENCAP) return share_port(fd, value, octets);
  if (level == SOL_NETLINK && is_xfrm_connection(fd)) return set_netlink_option(fd, name, value, octets);
  return next_setsockopt(fd, level, name, value, octets);
}

CYGNET_EXPORT ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* octets) {
  const socklen_t room = octets == nullptr ? 0 : *octets;
  const auto got = next_recvfrom(fd, buffer, size, flags, from, octets);
  if (got >= 0 && from != nullptr && octets != nullptr && is_from_engine(fd, from, *octets < room ? *octets : room)) {
    *octets = room;
    give_address(kernel_address(), from, octets);
  }
  return got;
}

CYGNET_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const socklen_t room = message == nullptr || message->msg_name == nullptr ? 0 : message->msg_namelen;
  const auto got = next_recvmsg(fd, message, flags);
  if (got >= 0 && room != 0 &&
      is_from_engine(fd, message->msg_name, message->msg_namelen < room ? message->msg_namelen : room)) {
    message->msg_namelen = room;
    give_address(kernel_address(), static_cast<sockaddr*>(message->msg_name), &message->msg_namelen);
  }
  return got;
}

// What recvfrom() is called by programs built with _FORTIFY_SOURCE.
CYGNET_EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags,
                                     sockaddr* from, socklen_t* octets) {
  if (size > room) std::abort();
  return recvfrom(fd, buffer, size, flags, from, octets);
}

CYGNET_EXPORT ssize_t send(int fd, const void* octets, std::size_t count, int flags) {
  return answered(fd, next_send(fd, octets, count, flags), octets, count);
}

CYGNET_EXPORT ssize_t write(int fd, const void* octets, std::size_t count) {
  return answered(fd, next_write(fd, octets, count), octets, count);
}

CYGNET_EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
  const auto sent = next_writev(fd, parts, count);
  return sent <= 0 ? sent : answered(fd, sent, parts[0].iov_base, parts[0].iov_len);
}
