// SPDX-License-Identifier: Apache-2.0
#pragma once

// Merging consecutive TCP segments, or UDP datagrams of one size, of one flow into one packet for the TUN device (what
// GRO does in a kernel; it cuts UDP again for sockets that know nothing of it). Nothing is copied: the merged packet is
// a list of slices, and only the first header changes.
#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "engine/packet.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

class Coalescer {
 public:
  // udp: the devices take UDP super-packets.
  Coalescer(Verdicts& out, bool udp) : out_(out), udp_(udp) {}
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
    std::size_t transport_octets = 0;  // of the TCP or UDP header
    std::size_t payload_octets = 0;
    bool checksum_known = false;  // verified to be right

    [[nodiscard]] bool is_udp() const { return info.protocol == wire::protocol::kUdp; }
    [[nodiscard]] std::uint8_t* transport() const { return packet.data() + info.header_octets; }
    [[nodiscard]] MutableByteView payload() const { return packet.subspan(info.header_octets + transport_octets); }
  };

  [[nodiscard]] bool may_start(Candidate& candidate) const;
  [[nodiscard]] static bool may_start_tcp(Candidate& candidate);
  [[nodiscard]] static bool may_start_udp(Candidate& candidate);
  [[nodiscard]] bool continues(const Candidate& next) const;
  [[nodiscard]] bool continues_tcp(const Candidate& next) const;
  [[nodiscard]] static std::uint16_t pseudo_sum(const Candidate& candidate, std::size_t transport_octets);
  [[nodiscard]] bool same_ip_header(const Candidate& next) const;
  [[nodiscard]] static bool checksum_right(Candidate& candidate);
  [[nodiscard]] bool deliver(const Candidate& single);
  [[nodiscard]] Offload finish_headers();

  Verdicts& out_;
  bool udp_;
  bool active_ = false;
  Candidate first_;
  std::array<ByteView, kMaxSegments> slices_;
  std::size_t segments_ = 0;
  std::size_t total_octets_ = 0;
  std::uint32_t next_sequence_ = 0;
};

}  // namespace cygnet::engine
