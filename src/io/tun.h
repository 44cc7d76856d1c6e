// SPDX-License-Identifier: Apache-2.0
#pragma once

// TUN devices with a virtio-net header in front of each packet (linux/if_tun.h), so that the kernel hands over and
// takes TCP and UDP super-packets of up to 64 KiB.
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

inline constexpr std::size_t kVnetHeader = 10;  // struct virtio_net_hdr
inline constexpr std::size_t kMaxTunPacket = 65535 + kVnetHeader;

struct TunDevice {
  UniqueFd fd;  // non-blocking
  std::string name;
  int index = 0;
  bool offload_udp = false;  // the kernel may hand over UDP super-packets (Linux 6.2 and later)
};

// Makes the device; it vanishes with the last copy of its descriptor. queues: it may have more than this one.
// kept: one that was kept is taken over as it is.
[[nodiscard]] Result<TunDevice> open_tun(const std::string& name, bool queues = false, bool kept = true);
// One more queue of a device made with queues. The kernel gives each flow one of them, and the one through which
// packets of the flow come back.
[[nodiscard]] Result<UniqueFd> open_tun_queue(const TunDevice& device);
// Whether it stays, with its addresses and routes, when nobody has its descriptor any more: what is sent to it then
// goes nowhere.
[[nodiscard]] Result<void> keep_tun(const TunDevice& device, bool keep);

// Whether the kernel takes and gives UDP super-packets of this device (VIRTIO_NET_HDR_GSO_UDP_L4).
[[nodiscard]] bool takes_udp_trains(int fd);

// One packet with its header; 0: nothing there; negative: errno.
[[nodiscard]] ssize_t read_tun(int fd, MutableByteView buffer);
// Header and slices as one packet. 0, or the errno.
[[nodiscard]] int write_tun(int fd, ByteView header, std::span<const ByteView> slices);

}  // namespace cygnet::io
