// SPDX-License-Identifier: Apache-2.0
#include "engine/fragment.h"

#include <cstring>

#include "wire/ip_checksum.h"

namespace cygnet::engine {
namespace {

constexpr std::uint8_t kCopiedFlag = 0x80;  // RFC 791 section 3.1: the option is copied into all fragments

// Options for fragments after the first, padded to whole words. Returns their octets; to may be null to count only.
std::size_t copied_options(ByteView options, std::uint8_t* to) {
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < options.size()) {
    const std::uint8_t kind = options[at];
    if (kind == 0) break;
    const std::size_t octets = kind == 1 ? 1 : (at + 1 < options.size() ? options[at + 1] : 0);
    if (octets == 0 || at + octets > options.size() || (kind != 1 && octets < 2)) break;
    if ((kind & kCopiedFlag) != 0) {
      if (to != nullptr) std::memcpy(to + used, options.data() + at, octets);
      used += octets;
    }
    at += octets;
  }
  const std::size_t padded = (used + 3U) & ~std::size_t{3};
  if (to != nullptr) std::memset(to + used, 0, padded - used);
  return padded;
}

}  // namespace

std::optional<Ipv4Fragmentation> Ipv4Fragmentation::plan(ByteView packet, const wire::IpPacketInfo& info,
                                                         std::uint32_t max_packet_octets) {
  if (!info.is_v4()) return std::nullopt;
  Ipv4Fragmentation f;
  f.packet_ = packet.first(info.total_octets);
  f.first_header_ = info.header_octets;
  f.later_header_ =
      wire::kIpv4HeaderOctets +
      copied_options(packet.subspan(wire::kIpv4HeaderOctets, info.header_octets - wire::kIpv4HeaderOctets), nullptr);
  if (max_packet_octets < f.first_header_ + 8) return std::nullopt;
  f.step_ = (max_packet_octets - f.first_header_) & ~std::size_t{7};
  f.count_ = (info.payload_octets() + f.step_ - 1) / f.step_;
  if (f.count_ == 0) return std::nullopt;
  f.offset_ = info.fragment_offset;
  f.more_ = info.more_fragments;
  return f;
}

void Ipv4Fragmentation::write(std::size_t index, std::uint8_t* to) const {
  const std::size_t header = header_of(index);
  if (index == 0) {
    std::memcpy(to, packet_.data(), header);
  } else {
    std::memcpy(to, packet_.data(), wire::kIpv4HeaderOctets);
    (void)copied_options(packet_.subspan(wire::kIpv4HeaderOctets, first_header_ - wire::kIpv4HeaderOctets),
                         to + wire::kIpv4HeaderOctets);
    to[0] = static_cast<std::uint8_t>(0x40U | (header / 4));
  }
  const std::size_t payload = payload_of(index);
  store_be16(to + 2, static_cast<std::uint16_t>(header + payload));
  const bool more = more_ || index + 1 < count_;
  const std::size_t offset = offset_ + step_ * index;
  store_be16(to + 6, static_cast<std::uint16_t>((more ? 0x2000U : 0U) | (offset / 8)));
  store_be16(to + 10, 0);
  store_be16(to + 10, wire::internet_checksum({to, header}));
  std::memcpy(to + header, packet_.data() + first_header_ + step_ * index, payload);
}

std::optional<Ipv6Fragmentation> Ipv6Fragmentation::plan(ByteView packet, std::uint32_t max_packet_octets,
                                                         std::uint32_t identification) {
  if (packet.size() <= wire::kIpv6HeaderOctets) return std::nullopt;
  Ipv6Fragmentation f;
  f.packet_ = packet;
  f.front_ = wire::kIpv6HeaderOctets;
  f.next_header_at_ = 6;
  std::uint8_t next = packet[f.next_header_at_];
  for (std::size_t at = f.front_; next == wire::protocol::kHopByHop || next == wire::protocol::kDestinationOptions ||
                                  next == wire::protocol::kRouting;) {
    const std::size_t octets = at + 1 < packet.size() ? 8 * (std::size_t{packet[at + 1]} + 1) : packet.size();
    if (at + octets >= packet.size()) break;
    if (next != wire::protocol::kDestinationOptions) {
      f.front_ = at + octets;
      f.next_header_at_ = at;
    }
    next = packet[at];
    at += octets;
  }
  if (max_packet_octets < f.front_ + kHeader + 8) return std::nullopt;
  f.step_ = (max_packet_octets - f.front_ - kHeader) & ~std::size_t{7};
  f.count_ = (packet.size() - f.front_ + f.step_ - 1) / f.step_;
  f.identification_ = identification;
  return f;
}

void Ipv6Fragmentation::write(std::size_t index, std::uint8_t* to) const {
  const std::size_t payload = payload_of(index);
  std::memcpy(to, packet_.data(), front_);
  store_be16(to + 4, static_cast<std::uint16_t>(front_ + kHeader - wire::kIpv6HeaderOctets + payload));
  to[next_header_at_] = wire::protocol::kFragment;
  auto* header = to + front_;
  header[0] = packet_[next_header_at_];
  header[1] = 0;
  const bool more = index + 1 < count_;
  store_be16(header + 2, static_cast<std::uint16_t>(step_ * index | (more ? 1U : 0U)));
  store_be32(header + 4, identification_);
  std::memcpy(header + kHeader, packet_.data() + front_ + step_ * index, payload);
}

}  // namespace cygnet::engine
