// SPDX-License-Identifier: Apache-2.0
#include "engine/segment.h"

#include <algorithm>
#include <cstring>

#include "wire/ip_checksum.h"
#include "wire/ipv4_header.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

namespace cygnet::engine {

bool complete_checksum(MutableByteView packet, const Offload& offload) {
  if (!offload.needs_checksum) return true;
  const std::size_t at = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (offload.checksum_start >= packet.size() || at + 2 > packet.size()) return false;
  // The field holds the sum of the pseudo-header, so summing the whole gives the rest.
  const auto sum = wire::checksum_fold(wire::checksum_add(0, packet.subspan(offload.checksum_start)));
  auto checksum = static_cast<std::uint16_t>(~sum);
  // RFC 768: "If the computed checksum is zero, it is transmitted as all ones". Equal to zero for every other protocol.
  if (checksum == 0) checksum = 0xffff;
  store_be16(packet.data() + at, checksum);
  return true;
}

std::optional<Segmentation> Segmentation::plan(ByteView packet, const wire::IpPacketInfo& info, const Offload& offload,
                                               std::uint32_t max_packet_octets) {
  Segmentation s;
  s.packet_ = packet.first(info.total_octets);
  s.v4_ = info.is_v4();
  s.udp_ = offload.gso == Offload::Gso::kUdp;
  s.ip_octets_ = info.header_octets;
  s.total_ = info.total_octets;
  const bool family_fits = s.udp_ || s.v4_ == (offload.gso == Offload::Gso::kTcpV4);
  const auto wanted = s.udp_ ? wire::protocol::kUdp : wire::protocol::kTcp;
  if (!family_fits || info.protocol != wanted || info.fragment || offload.segment_octets == 0) return std::nullopt;
  const auto upper = s.packet_.subspan(s.ip_octets_);
  if (s.udp_) {
    if (upper.size() < wire::kUdpHeaderOctets) return std::nullopt;
    s.headers_ = s.ip_octets_ + wire::kUdpHeaderOctets;
    s.segment_ = offload.segment_octets;
  } else {
    const auto tcp = wire::tcp_header_octets(upper);
    if (!tcp) return std::nullopt;
    s.headers_ = s.ip_octets_ + *tcp;
    if (max_packet_octets <= s.headers_) return std::nullopt;
    s.segment_ = std::min<std::size_t>(offload.segment_octets, max_packet_octets - s.headers_);
  }
  const std::size_t payload = s.total_ - s.headers_;
  s.count_ = std::max<std::size_t>(1, (payload + s.segment_ - 1) / s.segment_);
  s.address_sum_ =
      wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet), info.protocol, 0);
  return s;
}

void Segmentation::write_ip_header(std::size_t index, std::uint8_t* to) const {
  std::memcpy(to, packet_.data(), ip_octets_);
  const std::size_t octets = packet_octets(index);
  if (v4_) {
    const auto id = static_cast<std::uint16_t>(load_be16(packet_.data() + 4) + index);
    wire::set_ipv4_length_and_id(to, static_cast<std::uint16_t>(octets), id);
  } else {
    store_be16(to + 4, static_cast<std::uint16_t>(octets - wire::kIpv6HeaderOctets));
  }
}

void Segmentation::fix_tcp(std::size_t index, std::uint8_t* tcp) const {
  store_be32(tcp + 4, wire::tcp_sequence(packet_.data() + ip_octets_) + static_cast<std::uint32_t>(index * segment_));
  std::uint8_t flags = wire::tcp_flags(tcp);
  if (index + 1 < count_) flags &= static_cast<std::uint8_t>(~(wire::tcp_flag::kFin | wire::tcp_flag::kPsh));
  // RFC 3168 section 6.1.2: CWR is said once, on the first data sent.
  if (index > 0) flags &= static_cast<std::uint8_t>(~wire::tcp_flag::kCwr);
  tcp[13] = flags;
}

void Segmentation::write(std::size_t index, std::uint8_t* to, bool with_ip_header) const {
  if (with_ip_header) {
    write_ip_header(index, to);
    to += ip_octets_;
  }
  const std::size_t transport = headers_ - ip_octets_;
  const std::size_t payload = payload_of(index);
  std::memcpy(to, packet_.data() + ip_octets_, transport);
  auto* checksum = to + (udp_ ? 6 : wire::kTcpChecksumOffset);
  store_be16(checksum, 0);
  if (udp_) {
    store_be16(to + 4, static_cast<std::uint16_t>(transport + payload));
  } else {
    fix_tcp(index, to);
  }
  std::uint64_t sum = wire::checksum_add(address_sum_ + transport + payload, {to, transport});
  sum = wire::checksum_copy(sum, to + transport, packet_.subspan(headers_ + index * segment_, payload));
  auto value = static_cast<std::uint16_t>(~wire::checksum_fold(sum));
  if (udp_ && value == 0) value = 0xffff;
  store_be16(checksum, value);
}

}  // namespace cygnet::engine
