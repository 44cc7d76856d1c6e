// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cutting packets into fragments: an IPv4 packet before it enters a tunnel (RFC 791 section 3.2, RFC 4301 section 8.2.1
// note), and packets of both families that were put together only to be looked at.
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

class Ipv4Fragmentation {
 public:
  // Nothing: not an IPv4 packet that may be cut to this size.
  [[nodiscard]] static std::optional<Ipv4Fragmentation> plan(ByteView packet, const wire::IpPacketInfo& info,
                                                             std::uint32_t max_packet_octets);
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t packet_octets(std::size_t index) const { return header_of(index) + payload_of(index); }
  void write(std::size_t index, std::uint8_t* to) const;

 private:
  [[nodiscard]] std::size_t header_of(std::size_t index) const { return index == 0 ? first_header_ : later_header_; }
  [[nodiscard]] std::size_t payload_of(std::size_t index) const {
    return index + 1 < count_ ? step_ : packet_.size() - first_header_ - step_ * (count_ - 1);
  }

  ByteView packet_;
  std::size_t first_header_ = 0;
  std::size_t later_header_ = 0;  // without the options that only the first fragment carries
  std::size_t step_ = 0;          // payload of all fragments but the last, a multiple of 8
  std::size_t count_ = 0;
  std::uint16_t offset_ = 0;  // of the packet itself, should it be a fragment already
  bool more_ = false;
};

// RFC 8200 section 4.5: behind "all headers up to and including the Routing header if present, else the Hop-by-Hop
// Options header if present", which each fragment has.
class Ipv6Fragmentation {
 public:
  // Nothing: max_packet_octets leaves no room.
  [[nodiscard]] static std::optional<Ipv6Fragmentation> plan(ByteView packet, std::uint32_t max_packet_octets,
                                                             std::uint32_t identification);
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t packet_octets(std::size_t index) const { return front_ + kHeader + payload_of(index); }
  void write(std::size_t index, std::uint8_t* to) const;

 private:
  static constexpr std::size_t kHeader = 8;  // the fragment header
  [[nodiscard]] std::size_t payload_of(std::size_t index) const {
    return index + 1 < count_ ? step_ : packet_.size() - front_ - step_ * (count_ - 1);
  }

  ByteView packet_;
  std::size_t front_ = 0;           // octets of the headers that each fragment has
  std::size_t next_header_at_ = 0;  // the field in them that tells of what follows
  std::size_t step_ = 0;
  std::size_t count_ = 0;
  std::uint32_t identification_ = 0;
};

}  // namespace cygnet::engine
