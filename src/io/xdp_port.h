// SPDX-License-Identifier: Apache-2.0
#pragma once

// An AF_XDP socket on one queue of an interface (Documentation/networking/af_xdp.rst of Linux), in copy mode: whole
// Ethernet frames past the kernel's network stack. Who has the privileges opens it; who carries packets maps it.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

// Frames of the memory that kernel and process share: the first kReceiveFrames are for what comes.
struct XdpShape {
  static constexpr std::uint32_t kReceiveFrames = 2048;
  static constexpr std::uint32_t kSendFrames = 1024;
  static constexpr std::uint32_t kRoomOfKernel = 256;  // XDP_PACKET_HEADROOM
  std::uint32_t frame_octets = 2048;
  [[nodiscard]] std::uint32_t largest_frame() const { return frame_octets - kRoomOfKernel; }
  [[nodiscard]] std::size_t octets() const {
    return std::size_t{frame_octets} * (std::size_t{kReceiveFrames} + kSendFrames);
  }
  // For frames of this size; frame_octets 0: there is none for them.
  [[nodiscard]] static XdpShape for_frames_of(std::size_t octets);
  [[nodiscard]] bool sound() const { return frame_octets == 2048 || frame_octets == 4096; }
};

struct XdpSocket {
  UniqueFd socket;
  UniqueFd memory;
  bool busy = false;  // nothing was opened: another socket has the queue
};
// Bound, with its rings, nothing lent to the kernel yet.
[[nodiscard]] Result<XdpSocket> open_xdp_socket(int interface, std::uint32_t queue, const XdpShape& shape);

class XdpPort {
 public:
  [[nodiscard]] static Result<std::unique_ptr<XdpPort>> map(XdpSocket socket, const XdpShape& shape);
  ~XdpPort();
  XdpPort(const XdpPort&) = delete;
  XdpPort& operator=(const XdpPort&) = delete;
  [[nodiscard]] int fd() const { return socket_.get(); }

  // What is there now, at most kBurst frames; they are the caller's until give_back().
  static constexpr std::size_t kBurst = 32;
  [[nodiscard]] std::span<const MutableByteView> receive();
  void give_back();

  // A frame to write; empty: all are under way, and did not come back in a moment.
  [[nodiscard]] MutableByteView frame();
  // The frame that frame() gave holds so many octets. Now and then what waits is sent, too.
  void push(std::size_t octets);
  // Sends what was pushed.
  void flush();
  // The interface is down or gone: what was pushed since does not leave.
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }  // frames that the interface did not take

 private:
  // Positions run freely; their place is what is left of them after a division by the number of places.
  struct Ring {
    std::uint32_t* producer = nullptr;
    std::uint32_t* consumer = nullptr;
    void* places = nullptr;
    std::uint32_t mask = 0;
    void* mapped = nullptr;
    std::size_t mapped_octets = 0;
  };
  XdpPort(XdpSocket socket, const XdpShape& shape) : socket_(std::move(socket.socket)), shape_(shape) {}
  [[nodiscard]] Result<void> map_memory(int memory);
  [[nodiscard]] Result<void> map_rings();
  void take_back_sent();
  void send_some();

  UniqueFd socket_;
  XdpShape shape_;
  std::uint8_t* memory_ = nullptr;
  Ring fill_, completion_, receive_, send_;
  std::vector<std::uint64_t> free_;   // frames for sending
  std::vector<std::uint64_t> taken_;  // of the last receive()
  std::vector<MutableByteView> frames_;
  std::uint32_t pushed_ = 0;  // not yet told to the kernel by a call
  bool unsent_ = false;
  bool stuck_ = false;  // waiting did not help: not again before something has left
  bool broken_ = false;
  std::uint64_t refused_ = 0;
};

}  // namespace cygnet::io
