// SPDX-License-Identifier: Apache-2.0
#include "engine_link.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "next.h"
#include "wire/pfkey/constants.h"

namespace cygnet::preload {

namespace {

constexpr int kHighDescriptor = 200;  // out of the way of programs that expect theirs to be small
constexpr int kPatienceSeconds = 5;
constexpr int kAnswerPatience_ms = 300;  // another thread may have read it

int send_with(int fd, const wire::xfrm::WrapMessage& said, int lent) {
  iovec iov{const_cast<wire::xfrm::WrapMessage*>(&said), sizeof said};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof lent)] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (lent >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof lent);
    std::memcpy(CMSG_DATA(header), &lent, sizeof lent);
  }
  return ::sendmsg(fd, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof said) ? 0 : -1;
}

// The other end's path ends so.
bool leads_to(int fd, std::string_view name) {
  const int before = errno;
  sockaddr_un peer{};
  socklen_t octets = sizeof peer;
  const bool connected = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &octets) == 0;
  errno = before;
  if (!connected || peer.sun_family != AF_UNIX) return false;
  peer.sun_path[sizeof peer.sun_path - 1] = '\0';
  const char* slash = std::strrchr(peer.sun_path, '/');
  return name == (slash == nullptr ? peer.sun_path : slash + 1);
}

wire::xfrm::WrapMessage make(wire::xfrm::WrapType type, unsigned value, unsigned second) {
  wire::xfrm::WrapMessage out;
  out.octets = sizeof out;
  out.type = static_cast<unsigned short>(type);
  out.sequence = static_cast<unsigned>(::getpgrp());
  out.pid = static_cast<unsigned>(::getpid());
  out.value = value;
  out.second = second;
  return out;
}

// What the engine said to the one message on this connection.
int read_answer(int fd) {
  const timeval patience{kPatienceSeconds, 0};
  (void)next_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } answer{};
  const auto octets = next_recvfrom(fd, &answer, sizeof answer, 0, nullptr, nullptr);
  if (octets < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(int)) || answer.header.nlmsg_type != NLMSG_ERROR) {
    if (octets >= 0) errno = EPROTO;
    return -1;
  }
  errno = -answer.error.error;
  return answer.error.error == 0 ? 0 : -1;
}

}  // namespace

const char* pfkey_path() { return ::secure_getenv("CYGNET_PFKEY"); }

const char* xfrm_path() { return ::secure_getenv("CYGNET_XFRM"); }

unsigned exempting_mark() {
  const char* text = ::secure_getenv("CYGNET_MARK");
  return text == nullptr ? 0 : static_cast<unsigned>(std::strtoul(text, nullptr, 0));
}

int connect_to_engine(const char* path, int type) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto octets = std::strlen(path);
  if (octets >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path, path, octets);
  const int flags = type & (SOCK_CLOEXEC | SOCK_NONBLOCK);
  const int fd = next_socket(AF_UNIX, SOCK_SEQPACKET | flags, 0);
  if (fd >= 0 && next_connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

bool is_xfrm_connection(int fd) { return leads_to(fd, wire::xfrm::kSocketName); }

bool is_pfkey_connection(int fd) { return leads_to(fd, wire::pfkey::kSocketName); }

void wait_for_answer(int fd) {
  const int before = errno;
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  (void)::poll(&one, 1, kAnswerPatience_ms);
  errno = before;
}

int tell_engine(int fd, wire::xfrm::WrapType type, unsigned value) { return send_with(fd, make(type, value, 0), -1); }

int ask_engine(wire::xfrm::WrapType type, unsigned value, unsigned second, int lent, bool keep) {
  const char* path = xfrm_path();
  if (path == nullptr) {
    errno = ENOPROTOOPT;
    return -1;
  }
  int fd = connect_to_engine(path, SOCK_CLOEXEC);
  if (fd < 0) return -1;
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, kHighDescriptor);
  if (high >= 0) {
    ::close(fd);
    fd = high;
  }
  const int done = send_with(fd, make(type, value, second), lent) == 0 ? read_answer(fd) : -1;
  if (done == 0 && keep) return 0;
  const int error = errno;
  ::close(fd);
  errno = error;
  return done;
}

}  // namespace cygnet::preload
