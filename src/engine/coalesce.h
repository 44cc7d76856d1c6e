// SPDX-License-Identifier: Apache-2.0
#pragma once

// Merging consecutive TCP segments of one flow into one packet for the TUN device (what GRO does in a kernel). Nothing
// is copied: the merged packet is a list of slices, and only the first header changes.
#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "engine/packet.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

class Coalescer {
 public:
  explicit Coalescer(Verdicts& out) : out_(out) {}
  Coalescer(const Coalescer&) = delete;
  Coalescer& operator=(const Coalescer&) = delete;

  // packet: exactly the IP packet that info was parsed from; stays where it is until the verdicts are cleared.
  // Packets leave in the order they came. False: no room for its slices (nothing was kept of it).
  [[nodiscard]] bool add(MutableByteView packet, const wire::IpPacketInfo& info, DeviceId device, std::uint32_t index);
  // Delivers what is being merged. False: no room.
  [[nodiscard]] bool flush();

 private:
  static constexpr std::size_t kMaxSegments = 64;

  struct Candidate {
    MutableByteView packet;
    wire::IpPacketInfo info;
    DeviceId device = 0;
    std::uint32_t index = 0;
    std::size_t tcp_octets = 0;
    std::size_t payload_octets = 0;
    bool checksum_known = false;  // verified to be right

    [[nodiscard]] std::uint8_t* tcp() const { return packet.data() + info.header_octets; }
    [[nodiscard]] MutableByteView payload() const { return packet.subspan(info.header_octets + tcp_octets); }
  };

  [[nodiscard]] static bool may_start(Candidate& candidate);
  [[nodiscard]] bool continues(const Candidate& next) const;
  [[nodiscard]] bool same_ip_header(const Candidate& next) const;
  [[nodiscard]] static bool checksum_right(Candidate& candidate);
  [[nodiscard]] bool deliver(const Candidate& single);
  [[nodiscard]] Offload finish_headers();

  Verdicts& out_;
  bool active_ = false;
  Candidate first_;
  std::array<ByteView, kMaxSegments> slices_;
  std::size_t segments_ = 0;
  std::size_t total_octets_ = 0;
  std::uint32_t next_sequence_ = 0;
};

}  // namespace cygnet::engine
