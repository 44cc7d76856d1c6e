// SPDX-License-Identifier: Apache-2.0
#include "io/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

constexpr int kSocketBuffer = 4 << 20;
constexpr std::size_t kQueuedOverhead = 128;  // octets of memory that a waiting message takes beside its own
constexpr int kReadBudget = 64;               // messages a turn, so that one peer cannot keep the loop
constexpr int kListenAttempts = 15;           // fewer than wait in a queue that nobody empties any more
constexpr auto kListenPause = std::chrono::milliseconds(200);

bool fill_address(const std::string& path, sockaddr_un& out) {
  out = {};
  out.sun_family = AF_UNIX;
  if (path.size() >= sizeof out.sun_path) {
    return false;
  }
  std::memcpy(out.sun_path, path.data(), path.size());
  return true;
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  if (!fill_address(path, address)) {
    return fail("socket path " + path + " is longer than a Unix socket allows (" +
                std::to_string(sizeof address.sun_path - 1) + " characters): choose a shorter run directory");
  }
  return address;
}

void enlarge_buffers(int fd) {
  // FORCE needs CAP_NET_ADMIN; without it the kernel's limit applies, which is enough for all but huge bursts.
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer) != 0) {
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  }
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> seqpacket_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return fail_errno("cannot make a socket pair");
  }
  enlarge_buffers(fds[0]);
  enlarge_buffers(fds[1]);
  return std::pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

SendStatus send_message(int fd, ByteView bytes, std::span<const int> fds) {
  iovec iov{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxMessageFds)> control{};
  if (!fds.empty() && fds.size() <= kMaxMessageFds) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (::sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      return SendStatus::kSent;
    }
    if (errno == EINTR) {
      continue;
    }
    return errno == EAGAIN || errno == ENOBUFS ? SendStatus::kFull : SendStatus::kClosed;
  }
}

ReceiveStatus receive_message(int fd, Message& out) {
  out.bytes.clear();
  out.fds.clear();
  // Not cleared beforehand: most messages are short.
  std::array<std::uint8_t, kMaxMessage> buffer;
  iovec iov{buffer.data(), buffer.size()};
  msghdr header{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxMessageFds)> control{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = ::recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return errno == EAGAIN ? ReceiveStatus::kNothing : ReceiveStatus::kClosed;
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof received);
      out.fds.emplace_back(received);
    }
  }
  // Zero octets are the end of a SEQPACKET connection: our messages are never empty.
  if (n == 0 || (header.msg_flags & MSG_TRUNC) != 0) {
    return ReceiveStatus::kClosed;
  }
  const auto received = MutableByteView(buffer).first(static_cast<std::size_t>(n));
  out.bytes.assign(received.begin(), received.end());
  wipe(received);  // keys pass here
  return ReceiveStatus::kMessage;
}

namespace {

Result<UniqueFd> connect_to(const std::string& path, int type) {
  const auto address = address_of(path);
  if (!address) {
    return std::unexpected(address.error());
  }
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) {
    return fail_errno("cannot make a Unix socket");
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_errno("cannot connect to " + path);
  }
  return fd;
}

Result<UniqueFd> listen_on(const std::string& path, unsigned mode, int type, int backlog) {
  const auto address = address_of(path);
  if (!address) {
    return std::unexpected(address.error());
  }
  // The processes of a killed daemon die with it, but not before it: until then their sockets answer.
  for (int attempt = 0; connect_to(path, type); ++attempt) {
    if (attempt == kListenAttempts) {
      return fail("another daemon answers on " + path + ": stop it, or choose another --run-dir");
    }
    std::this_thread::sleep_for(kListenPause);
  }
  (void)::unlink(path.c_str());
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno("cannot make a Unix socket");
  }
  // The file must never be open to more people than `mode` says, not even between bind and chmod.
  const mode_t old = ::umask(0777 & ~mode);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  ::umask(old);
  if (bound != 0) {
    return fail_errno("cannot make the control socket " + path);
  }
  if (::listen(fd.get(), backlog) != 0) {
    return fail_errno("cannot listen on " + path);
  }
  return fd;
}

}  // namespace

Result<UniqueFd> connect_stream(const std::string& path) { return connect_to(path, SOCK_STREAM); }
Result<UniqueFd> listen_stream(const std::string& path, unsigned mode) {
  return listen_on(path, mode, SOCK_STREAM, 16);
}
Result<UniqueFd> connect_seqpacket(const std::string& path) { return connect_to(path, SOCK_SEQPACKET); }
Result<UniqueFd> listen_seqpacket(const std::string& path, unsigned mode) {
  return listen_on(path, mode, SOCK_SEQPACKET, 1024);
}

UniqueFd accept_stream(int listener) {
  return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

Channel::Channel(EventLoop& loop, UniqueFd fd, OnMessage on_message, OnClosed on_closed, std::size_t max_queued_bytes)
    : loop_(loop),
      fd_(std::move(fd)),
      on_message_(std::move(on_message)),
      on_closed_(std::move(on_closed)),
      max_queued_bytes_(max_queued_bytes) {
  loop_.watch(fd_.get(), [this] { read_all(); });
}

Channel::~Channel() {
  *alive_ = false;
  close();
}

void Channel::close() {
  if (fd_) {
    loop_.unwatch(fd_.get());
    fd_.reset();
  }
  queue_.clear();
  queued_bytes_ = 0;
}

void Channel::read_all() {
  const auto alive = alive_;
  for (int i = 0; i < kReadBudget && *alive && fd_; ++i) {
    Message message;
    const auto status = receive_message(fd_.get(), message);
    if (status == ReceiveStatus::kNothing) {
      return;
    }
    if (status == ReceiveStatus::kClosed) {
      close();
      if (on_closed_) {
        on_closed_();
      }
      return;
    }
    on_message_(std::move(message));
  }
}

bool Channel::send(Bytes bytes, std::vector<UniqueFd> fds) {
  if (!fd_ || queued_bytes_ + bytes.size() + kQueuedOverhead > max_queued_bytes_) {
    return false;
  }
  queued_bytes_ += bytes.size() + kQueuedOverhead;
  queue_.push_back({std::move(bytes), std::move(fds)});
  if (!waiting_) {
    flush();
  }
  return true;
}

void Channel::flush() {
  waiting_ = false;
  while (fd_ && !queue_.empty()) {
    std::vector<int> fds;
    for (const auto& fd : queue_.front().fds) {
      fds.push_back(fd.get());
    }
    const auto status = send_message(fd_.get(), queue_.front().bytes, fds);
    if (status == SendStatus::kFull) {
      waiting_ = true;
      loop_.when_writable(fd_.get(), [this, alive = alive_] {
        if (*alive) {
          flush();
        }
      });
      return;
    }
    if (status == SendStatus::kClosed) {
      // The reading side notices and tells; until then sends go nowhere.
      queue_.clear();
      queued_bytes_ = 0;
      return;
    }
    queued_bytes_ -= queue_.front().bytes.size() + kQueuedOverhead;
    wipe(queue_.front().bytes);  // SA keys pass here
    queue_.pop_front();
  }
}

}  // namespace cygnet::io
