// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cutting a super-packet of the TUN device (TSO, USO) into packets, and completing partial checksums.
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "engine/packet.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

// Fills in the transport checksum that the kernel left to us. False: the offload words contradict the packet.
[[nodiscard]] bool complete_checksum(MutableByteView packet, const Offload& offload);

// A plan to cut one super-packet; all segments but the last carry the same payload.
class Segmentation {
 public:
  // max_packet_octets: what fits. TCP is a byte stream, so its segments may become smaller than the sender planned;
  // datagrams (USO) may not. Nothing: the offload words contradict the packet.
  [[nodiscard]] static std::optional<Segmentation> plan(ByteView packet, const wire::IpPacketInfo& info,
                                                        const Offload& offload, std::uint32_t max_packet_octets);

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t packet_octets(std::size_t index) const { return headers_ + payload_of(index); }
  [[nodiscard]] std::size_t ip_octets() const { return ip_octets_; }
  // Writes segment index; from its IP header on, or from its transport header on. Checksums are complete.
  void write(std::size_t index, std::uint8_t* to, bool with_ip_header) const;

 private:
  [[nodiscard]] std::size_t payload_of(std::size_t index) const {
    return index + 1 < count_ ? segment_ : total_ - headers_ - segment_ * (count_ - 1);
  }
  void write_ip_header(std::size_t index, std::uint8_t* to) const;
  void fix_tcp(std::size_t index, std::uint8_t* tcp) const;

  ByteView packet_;
  bool v4_ = true;
  bool udp_ = false;
  std::size_t ip_octets_ = 0;  // IP header with options or extension headers
  std::size_t headers_ = 0;    // up to the transport payload
  std::size_t total_ = 0;
  std::size_t segment_ = 0;
  std::size_t count_ = 0;
  std::uint64_t address_sum_ = 0;  // of the pseudo-header, without the length
};

}  // namespace cygnet::engine
