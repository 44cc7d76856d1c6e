// SPDX-License-Identifier: Apache-2.0
#include "io/pfkey_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

constexpr int kProtocolV2 = 2;  // PF_KEY_V2
constexpr int kBufferOctets = 16 << 20;
constexpr int kPatience_ms = 5000;
constexpr std::size_t kLargestMessage = 64UL * 1024;

}  // namespace

Result<PfkeySocket> PfkeySocket::open() {
  UniqueFd fd(::socket(PF_KEY, SOCK_RAW | SOCK_CLOEXEC, kProtocolV2));
  if (!fd && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT)) {
    return fail("this kernel has no PF_KEY (module af_key): use engine=xfrm or engine=user");
  }
  if (!fd) return fail_errno("cannot open a PF_KEY socket");
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferOctets, sizeof kBufferOctets) != 0) {
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kBufferOctets, sizeof kBufferOctets);
  }
  return PfkeySocket(std::move(fd));
}

Result<void> PfkeySocket::send(ByteView message) {
  const auto sent = ::send(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EBADF || errno == ENOTCONN || errno == EPIPE || errno == EMSGSIZE || errno == ENOBUFS)) {
    return fail_errno("cannot ask the kernel over PF_KEY");
  }
  return {};
}

Result<Bytes> PfkeySocket::receive() {
  for (;;) {
    if (auto there = receive_now()) return std::move(*there);
    pollfd waiting{fd_.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, kPatience_ms);
    if (ready < 0 && errno != EINTR) return fail_errno("the kernel gives no answer over PF_KEY");
    if (ready == 0) return fail("the kernel gives no answer over PF_KEY");
  }
}

std::optional<Bytes> PfkeySocket::receive_now() {
  Bytes buffer(kLargestMessage);
  for (;;) {
    const auto n = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    buffer.resize(static_cast<std::size_t>(n));
    return buffer;
  }
}

}  // namespace cygnet::io
