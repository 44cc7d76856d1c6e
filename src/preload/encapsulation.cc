// SPDX-License-Identifier: Apache-2.0
#include "encapsulation.h"

#include <linux/filter.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "engine_link.h"
#include "next.h"

namespace cygnet::preload {

namespace {

constexpr int kMostDescriptors = 1024;
constexpr int kReceiveBufferOctets = 8 << 20;

// Sockets that asked before they had an address.
std::atomic<bool>& waits_for_bind(int fd) {
  static std::atomic<bool> waiting[kMostDescriptors];
  return waiting[fd];
}

// Ports of sockets that are shared, or were until they were closed.
std::atomic<unsigned>& shared_port(int fd) {
  static std::atomic<unsigned> ports[kMostDescriptors];
  return ports[fd];
}

unsigned port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

// One that is open still: the port is in use by the program itself, and stays shared.
bool is_shared_now(unsigned port) {
  for (int fd = 0; fd < kMostDescriptors; ++fd) {
    if (shared_port(fd) != port) continue;
    sockaddr_storage address{};
    socklen_t octets = sizeof address;
    if (next_getsockname(fd, reinterpret_cast<sockaddr*>(&address), &octets) == 0 && port_of(address) == port) {
      return true;
    }
  }
  return false;
}

bool set(int fd, int level, int name, int value) { return next_setsockopt(fd, level, name, &value, sizeof value) == 0; }

int flag_of(int fd, int level, int name) {
  int value = 0;
  socklen_t octets = sizeof value;
  return ::getsockopt(fd, level, name, &value, &octets) == 0 ? value : 0;
}

// The program's socket joined first and is number 0. RFC 3948 section 2.2: IKE begins with "4 zero-valued bytes"; what
// is too short to be loaded, as a keepalive is, ends the filter with 0.
bool divide(int fd) {
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0},
      {BPF_RET | BPF_K, 0, 0, 0},
      {BPF_RET | BPF_K, 0, 0, 1},
  };
  const sock_fprog program{sizeof code / sizeof code[0], code};
  return next_setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

// A second socket on the address of this one. -1 with errno.
int open_second(int fd, const sockaddr_storage& address, socklen_t octets) {
  const int second = next_socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (second < 0) return -1;
  const unsigned mark = exempting_mark();
  bool good = set(fd, SOL_SOCKET, SO_REUSEPORT, 1) && set(second, SOL_SOCKET, SO_REUSEPORT, 1);
  // One port has one kind of socket: for IPv6 alone, or for both families.
  if (address.ss_family == AF_INET6) {
    good = good && set(second, IPPROTO_IPV6, IPV6_V6ONLY, flag_of(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  }
  if (mark != 0) good = good && next_setsockopt(second, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;
  (void)set(second, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferOctets);
  good = good && next_bind(second, reinterpret_cast<const sockaddr*>(&address), octets) == 0 && divide(second);
  if (good) return second;
  const int error = errno;
  ::close(second);
  errno = error;
  return -1;
}

int lend_second(int fd, const sockaddr_storage& address, socklen_t octets) {
  const unsigned port = port_of(address);
  const bool shared = flag_of(fd, SOL_SOCKET, SO_REUSEPORT) != 0;
  const int second = open_second(fd, address, octets);
  if (second < 0) {
    // A process that has given its rights away, with a socket that the one before it had shared (OpenIKED's): it is
    // shared still.
    return shared && (errno == EPERM || errno == EACCES) ? 0 : -1;
  }
  const int done = ask_engine(wire::xfrm::WrapType::kLendSocket, address.ss_family, port, second, true);
  const int error = errno;
  ::close(second);
  if (done == 0 && fd < kMostDescriptors) shared_port(fd) = port;
  errno = error;
  return done;
}

}  // namespace

int share_port(int fd, const void* value, socklen_t octets) {
  int type = 0;
  if (value == nullptr || octets < sizeof type) {
    errno = EINVAL;
    return -1;
  }
  std::memcpy(&type, value, sizeof type);
  sockaddr_storage address{};
  socklen_t address_octets = sizeof address;
  if (next_getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_octets) != 0) return -1;
  if (type == 0) return 0;
  if (type != UDP_ENCAP_ESPINUDP) {
    errno = ENOPROTOOPT;  // the drafts before RFC 3948
    return -1;
  }
  if (port_of(address) != 0) return lend_second(fd, address, address_octets);
  if (fd >= kMostDescriptors) {
    errno = EMFILE;
    return -1;
  }
  waits_for_bind(fd) = true;
  return 0;
}

void on_bound(int fd) {
  if (fd < 0 || fd >= kMostDescriptors || !waits_for_bind(fd).exchange(false)) return;
  const int before = errno;
  const int type = UDP_ENCAP_ESPINUDP;
  (void)share_port(fd, &type, sizeof type);
  errno = before;
}

void on_opened(int fd) {
  if (fd < 0 || fd >= kMostDescriptors) return;
  waits_for_bind(fd) = false;
  shared_port(fd) = 0;
}

bool release_port(int fd, const sockaddr* address, socklen_t octets) {
  const int before = errno;
  const bool datagrams = flag_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
  errno = before;
  if (!datagrams || address == nullptr || octets < sizeof(sockaddr_in) ||
      (address->sa_family != AF_INET && address->sa_family != AF_INET6)) {
    return false;
  }
  sockaddr_storage copy{};
  std::memcpy(&copy, address, octets < sizeof copy ? octets : sizeof copy);
  const bool released =
      !is_shared_now(port_of(copy)) && ask_engine(wire::xfrm::WrapType::kReleasePort, 0, port_of(copy), -1, false) == 0;
  errno = before;
  return released;
}

}  // namespace cygnet::preload
