// SPDX-License-Identifier: Apache-2.0
#include "io/xdp_port.h"

#include <linux/if_xdp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "io/errno_text.h"

namespace cygnet::io {

namespace {

constexpr std::uint32_t kSendTogether = 32;  // what the kernel takes in one call
constexpr int kWaits = 5;                    // of a millisecond, for frames to leave or to come back
constexpr int kSendBufferOctets = 4 << 20;

void wait_a_moment() { (void)::poll(nullptr, 0, 1); }

std::uint32_t read_position(const std::uint32_t* position) {
  return std::atomic_ref(*const_cast<std::uint32_t*>(position)).load(std::memory_order_acquire);
}
void write_position(std::uint32_t* position, std::uint32_t value) {
  std::atomic_ref(*position).store(value, std::memory_order_release);
}

Result<void> set_ring(int socket, int which, std::uint32_t places) {
  if (::setsockopt(socket, SOL_XDP, which, &places, sizeof places) != 0) {
    return fail_errno("cannot make a ring of an AF_XDP socket");
  }
  return {};
}

// The kernel keeps the pages; this process need not.
Result<void> lend_memory(int socket, int memory, const XdpShape& shape) {
  void* at = ::mmap(nullptr, shape.octets(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory, 0);
  if (at == MAP_FAILED) return fail_errno("cannot map memory for AF_XDP");
  xdp_umem_reg memory_for_frames{};
  memory_for_frames.addr = reinterpret_cast<std::uintptr_t>(at);
  memory_for_frames.len = shape.octets();
  memory_for_frames.chunk_size = shape.frame_octets;
  const bool lent = ::setsockopt(socket, SOL_XDP, XDP_UMEM_REG, &memory_for_frames, sizeof memory_for_frames) == 0;
  const int error = errno;
  (void)::munmap(at, shape.octets());
  errno = error;
  if (!lent) return fail_errno("cannot lend memory to an AF_XDP socket (CAP_IPC_LOCK may be missing)");
  return {};
}

Result<xdp_mmap_offsets> offsets_of(int socket) {
  xdp_mmap_offsets offsets{};
  socklen_t octets = sizeof offsets;
  if (::getsockopt(socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &octets) != 0 || octets != sizeof offsets) {
    return fail_errno("cannot ask where the rings of an AF_XDP socket are");
  }
  return offsets;
}

// Packets that come before somebody looks wait there.
Result<void> lend_frames(int socket, const XdpShape& shape) {
  const auto offsets = offsets_of(socket);
  if (!offsets) return std::unexpected(offsets.error());
  const std::size_t octets = offsets->fr.desc + XdpShape::kReceiveFrames * sizeof(std::uint64_t);
  void* mapped = ::mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket,
                        static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING));
  if (mapped == MAP_FAILED) return fail_errno("cannot map a ring of an AF_XDP socket");
  auto* start = static_cast<std::uint8_t*>(mapped);
  auto* places = reinterpret_cast<std::uint64_t*>(start + offsets->fr.desc);
  for (std::uint32_t i = 0; i < XdpShape::kReceiveFrames; ++i) places[i] = std::uint64_t{i} * shape.frame_octets;
  write_position(reinterpret_cast<std::uint32_t*>(start + offsets->fr.producer), XdpShape::kReceiveFrames);
  (void)::munmap(mapped, octets);
  return {};
}

}  // namespace

XdpShape XdpShape::for_frames_of(std::size_t octets) {
  for (const std::uint32_t frame : {2048U, 4096U}) {
    const XdpShape shape{.frame_octets = frame};
    if (octets <= shape.largest_frame()) return shape;
  }
  return {.frame_octets = 0};
}

Result<XdpSocket> open_xdp_socket(int interface, std::uint32_t queue, const XdpShape& shape) {
  XdpSocket out{.socket = UniqueFd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)),
                .memory = UniqueFd(::memfd_create("cygnet-xdp", MFD_CLOEXEC))};
  if (!out.socket) return fail_errno("this kernel gives no AF_XDP socket");
  if (!out.memory || ::ftruncate(out.memory.get(), static_cast<off_t>(shape.octets())) != 0) {
    return fail_errno("no memory for AF_XDP");
  }
  const int fd = out.socket.get();
  if (auto lent = lend_memory(fd, out.memory.get(), shape); !lent) return std::unexpected(lent.error());
  for (const auto& [which, places] :
       {std::pair{XDP_UMEM_FILL_RING, XdpShape::kReceiveFrames},
        std::pair{XDP_UMEM_COMPLETION_RING, XdpShape::kSendFrames}, std::pair{XDP_RX_RING, XdpShape::kReceiveFrames},
        std::pair{XDP_TX_RING, XdpShape::kSendFrames}}) {
    if (auto set = set_ring(fd, which, places); !set) return std::unexpected(set.error());
  }
  if (auto lent = lend_frames(fd, shape); !lent) return std::unexpected(lent.error());
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferOctets, sizeof kSendBufferOctets);
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;
  address.sxdp_ifindex = static_cast<std::uint32_t>(interface);
  address.sxdp_queue_id = queue;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EBUSY) return XdpSocket{.socket = {}, .memory = {}, .busy = true};
    return fail_errno("cannot bind an AF_XDP socket to queue " + std::to_string(queue));
  }
  return out;
}

Result<std::unique_ptr<XdpPort>> XdpPort::map(XdpSocket socket, const XdpShape& shape) {
  const UniqueFd memory = std::move(socket.memory);
  std::unique_ptr<XdpPort> port(new XdpPort(std::move(socket), shape));
  if (auto mapped = port->map_memory(memory.get()); !mapped) return std::unexpected(mapped.error());
  if (auto mapped = port->map_rings(); !mapped) return std::unexpected(mapped.error());
  return port;
}

XdpPort::~XdpPort() {
  for (const auto* ring : {&fill_, &completion_, &receive_, &send_}) {
    if (ring->mapped != nullptr) (void)::munmap(ring->mapped, ring->mapped_octets);
  }
  if (memory_ != nullptr) (void)::munmap(memory_, shape_.octets());
}

Result<void> XdpPort::map_memory(int memory) {
  if (!shape_.sound() || ::lseek(memory, 0, SEEK_END) != static_cast<off_t>(shape_.octets())) {
    return fail("the memory for AF_XDP has another size than it is said to have");
  }
  void* at = ::mmap(nullptr, shape_.octets(), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (at == MAP_FAILED) return fail_errno("cannot map the memory of an AF_XDP socket");
  memory_ = static_cast<std::uint8_t*>(at);
  free_.reserve(XdpShape::kSendFrames);
  for (std::uint32_t i = 0; i < XdpShape::kSendFrames; ++i) {
    free_.push_back(std::uint64_t{shape_.frame_octets} * (XdpShape::kReceiveFrames + i));
  }
  frames_.reserve(kBurst);
  taken_.reserve(kBurst);
  return {};
}

Result<void> XdpPort::map_rings() {
  const auto found = offsets_of(socket_.get());
  if (!found) return std::unexpected(found.error());
  const auto& offsets = *found;
  struct Wanted {
    Ring* ring;
    const xdp_ring_offset* at;
    off_t page;
    std::uint32_t places;
    std::size_t place_octets;
  };
  for (const auto& [ring, at, page, places, place_octets] :
       {Wanted{&fill_, &offsets.fr, static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING), XdpShape::kReceiveFrames, 8},
        Wanted{&completion_, &offsets.cr, static_cast<off_t>(XDP_UMEM_PGOFF_COMPLETION_RING), XdpShape::kSendFrames, 8},
        Wanted{&receive_, &offsets.rx, XDP_PGOFF_RX_RING, XdpShape::kReceiveFrames, sizeof(xdp_desc)},
        Wanted{&send_, &offsets.tx, XDP_PGOFF_TX_RING, XdpShape::kSendFrames, sizeof(xdp_desc)}}) {
    ring->mapped_octets = at->desc + places * place_octets;
    void* mapped =
        ::mmap(nullptr, ring->mapped_octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket_.get(), page);
    if (mapped == MAP_FAILED) return fail_errno("cannot map a ring of an AF_XDP socket");
    auto* start = static_cast<std::uint8_t*>(mapped);
    ring->mapped = mapped;
    ring->producer = reinterpret_cast<std::uint32_t*>(start + at->producer);
    ring->consumer = reinterpret_cast<std::uint32_t*>(start + at->consumer);
    ring->places = start + at->desc;
    ring->mask = places - 1;
  }
  return {};
}

// ---- in

std::span<const MutableByteView> XdpPort::receive() {
  frames_.clear();
  const std::uint32_t at = *receive_.consumer;  // nobody else writes it
  const std::uint32_t there = std::min(read_position(receive_.producer) - at, static_cast<std::uint32_t>(kBurst));
  const auto* places = static_cast<const xdp_desc*>(receive_.places);
  for (std::uint32_t i = 0; i < there; ++i) {
    const auto& place = places[(at + i) & receive_.mask];
    taken_.push_back(place.addr);
    if (place.addr < shape_.octets() && place.len <= shape_.octets() - place.addr) {
      frames_.emplace_back(memory_ + place.addr, place.len);
    }
  }
  write_position(receive_.consumer, at + there);
  return frames_;
}

void XdpPort::give_back() {
  // There is a place for each frame.
  std::uint32_t at = *fill_.producer;
  auto* places = static_cast<std::uint64_t*>(fill_.places);
  for (const auto frame : taken_) places[at++ & fill_.mask] = frame - frame % shape_.frame_octets;
  write_position(fill_.producer, at);
  taken_.clear();
}

// ---- out

void XdpPort::take_back_sent() {
  const std::uint32_t at = *completion_.consumer;
  const std::uint32_t there = read_position(completion_.producer) - at;
  const auto* places = static_cast<const std::uint64_t*>(completion_.places);
  for (std::uint32_t i = 0; i < there; ++i) free_.push_back(places[(at + i) & completion_.mask]);
  write_position(completion_.consumer, at + there);
  stuck_ = stuck_ && there == 0;
}

MutableByteView XdpPort::frame() {
  if (free_.empty()) take_back_sent();
  for (int waits = 0; free_.empty() && !broken_ && !stuck_ && waits < kWaits; ++waits) {
    flush();
    take_back_sent();
    if (free_.empty()) wait_a_moment();
  }
  if (free_.empty()) stuck_ = true;
  if (free_.empty() || broken_) return {};
  return {memory_ + free_.back(), shape_.largest_frame()};
}

void XdpPort::push(std::size_t octets) {
  // There is a place for each frame.
  const std::uint32_t at = *send_.producer;
  static_cast<xdp_desc*>(send_.places)[at & send_.mask] = {
      .addr = free_.back(), .len = static_cast<std::uint32_t>(octets), .options = 0};
  free_.pop_back();
  write_position(send_.producer, at + 1);
  unsent_ = true;
  if (++pushed_ >= kSendTogether) send_some();
}

void XdpPort::send_some() {
  pushed_ = 0;
  if (::sendto(socket_.get(), nullptr, 0, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0) >= 0) return;
  if (errno == EBUSY) ++refused_;  // the last one; those before it have left
  if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV) broken_ = true;
}

// The kernel takes some with each call. What it does not take after a moment stays in the ring and goes with the next.
void XdpPort::flush() {
  for (int waits = 0; unsent_ && !broken_;) {
    const auto before = read_position(send_.consumer);
    if (before != *send_.producer) send_some();
    const auto after = read_position(send_.consumer);
    unsent_ = after != *send_.producer;
    if (after != before) {
      stuck_ = false;
    } else if (unsent_) {
      stuck_ = stuck_ || ++waits > kWaits;
      if (stuck_) break;
      wait_a_moment();
    }
  }
  // The frames used last are used next: they are still in the caches.
  if (free_.size() < XdpShape::kSendFrames) take_back_sent();
}

}  // namespace cygnet::io
