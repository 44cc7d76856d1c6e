// SPDX-License-Identifier: Apache-2.0

// Loaded into a program by `cygnet wrap`: its PF_KEY sockets become connections to the engine, which speaks the same
// messages; and a socket that it exempts from IPsec gets the mark that the engine's own packets carry, so that no route
// leads it into the device. Whatever else the program does is left alone.
#include <dlfcn.h>
#include <linux/ipsec.h>
#include <linux/pfkeyv2.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

using Socket = int (*)(int, int, int);

using SetSocketOption = int (*)(int, int, int, const void*, socklen_t);

SetSocketOption next_set_socket_option() {
  static const auto kNext = reinterpret_cast<SetSocketOption>(::dlsym(RTLD_NEXT, "setsockopt"));
  return kNext;
}

// IP_IPSEC_POLICY or IPV6_IPSEC_POLICY with a policy that says: not this socket.
bool is_exemption(int level, int name, const void* value, socklen_t octets) {
  const bool policy =
      (level == IPPROTO_IP && name == IP_IPSEC_POLICY) || (level == IPPROTO_IPV6 && name == IPV6_IPSEC_POLICY);
  sadb_x_policy said{};
  if (!policy || value == nullptr || octets < sizeof said) return false;
  std::memcpy(&said, value, sizeof said);
  return said.sadb_x_policy_type == IPSEC_POLICY_BYPASS;
}

Socket next_socket() {
  static const auto kNext = reinterpret_cast<Socket>(::dlsym(RTLD_NEXT, "socket"));
  return kNext;
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
  const int fd = next_socket()(AF_UNIX, SOCK_SEQPACKET | flags, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int socket(int domain, int type, int protocol) noexcept {
  const char* path = ::secure_getenv("CYGNET_PFKEY");
  if (domain != PF_KEY || path == nullptr) return next_socket()(domain, type, protocol);
  if ((type & 0xf) != SOCK_RAW || protocol != PF_KEY_V2) {
    errno = EPROTONOSUPPORT;
    return -1;
  }
  return connect_to_engine(path, type);
}

extern "C" __attribute__((visibility("default"))) int setsockopt(int fd, int level, int name, const void* value,
                                                                 socklen_t octets) noexcept {
  const char* text = ::secure_getenv("CYGNET_MARK");
  if (text == nullptr || !is_exemption(level, name, value, octets)) {
    return next_set_socket_option()(fd, level, name, value, octets);
  }
  const auto mark = static_cast<unsigned>(std::strtoul(text, nullptr, 0));
  return next_set_socket_option()(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}
