// SPDX-License-Identifier: Apache-2.0
#include "io/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

#ifndef TUN_F_USO4
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;
#else
constexpr unsigned kTunUso4 = TUN_F_USO4;
constexpr unsigned kTunUso6 = TUN_F_USO6;
#endif

constexpr std::size_t kMaxSlices = 1000;  // below IOV_MAX

Result<UniqueFd> attach(const std::string& name, int flags) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) {
    return fail(
        "there is no /dev/net/tun: load the module (modprobe tun), or give the container the device (--device "
        "/dev/net/tun)");
  }
  if (!fd) {
    return fail_errno("cannot open /dev/net/tun (root and CAP_NET_ADMIN are needed)");
  }
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY || errno == EINVAL) {
      return fail("cannot make the device " + name +
                  ": an interface of this name exists already (another cygnetd? see: ip link show " + name +
                  "); stop it, or choose another name in the configuration");
    }
    return fail_errno("cannot make the device " + name);
  }
  return fd;
}

constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

// Whether the kernel may hand over UDP super-packets as well.
Result<bool> set_offloads(int fd, const std::string& name) {
  const bool udp = takes_udp_trains(fd);
  if (!udp && ::ioctl(fd, TUNSETOFFLOAD, kTcp) != 0) {
    return fail_errno("cannot set offloads of the device " + name);
  }
  return udp;
}

}  // namespace

Result<TunDevice> open_tun(const std::string& name, bool queues, bool kept) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return fail("device name '" + name + "' is not possible: it must have 1 to " + std::to_string(IFNAMSIZ - 1) +
                " characters");
  }
  // A device that may have more queues lets anybody add one: that it is new has to be asked for.
  auto fd = attach(name, queues ? IFF_MULTI_QUEUE | (kept ? 0 : IFF_TUN_EXCL) : 0);
  if (!fd) {
    return std::unexpected(fd.error());
  }
  const auto offload_udp = set_offloads(fd->get(), name);
  if (!offload_udp) {
    return std::unexpected(offload_udp.error());
  }
  return TunDevice{.fd = std::move(*fd),
                   .name = name,
                   .index = static_cast<int>(::if_nametoindex(name.c_str())),
                   .offload_udp = *offload_udp};
}

Result<UniqueFd> open_tun_queue(const TunDevice& device) { return attach(device.name, IFF_MULTI_QUEUE); }

Result<void> keep_tun(const TunDevice& device, bool keep) {
  if (::ioctl(device.fd.get(), TUNSETPERSIST, keep ? 1UL : 0UL) != 0) {
    return fail_errno("cannot say whether the device " + device.name + " stays");
  }
  return {};
}

bool takes_udp_trains(int fd) { return ::ioctl(fd, TUNSETOFFLOAD, kTcp | kTunUso4 | kTunUso6) == 0; }

ssize_t read_tun(int fd, MutableByteView buffer) {
  for (;;) {
    const auto n = ::read(fd, buffer.data(), buffer.size());
    if (n >= 0) {
      return n;
    }
    if (errno != EINTR) {
      return errno == EAGAIN ? 0 : -errno;
    }
  }
}

int write_tun(int fd, ByteView header, std::span<const ByteView> slices) {
  if (slices.size() > kMaxSlices) {
    return EMSGSIZE;
  }
  std::array<iovec, kMaxSlices + 1> iov;
  const auto put = [](ByteView v) { return iovec{const_cast<std::uint8_t*>(v.data()), v.size()}; };
  iov[0] = put(header);
  std::size_t count = 1;
  for (const auto& slice : slices) {
    iov[count++] = put(slice);
  }
  for (;;) {
    if (::writev(fd, iov.data(), static_cast<int>(count)) >= 0) {
      return 0;
    }
    if (errno != EINTR) {
      return errno;
    }
  }
}

}  // namespace cygnet::io
