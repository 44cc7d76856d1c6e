// SPDX-License-Identifier: Apache-2.0
#include "engine/coalesce.h"

#include <algorithm>
#include <cstring>

#include "wire/ip_checksum.h"
#include "wire/ipv4_header.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

namespace cygnet::engine {
namespace {

constexpr std::size_t kMaxPacketOctets = 65535;

}  // namespace

std::uint16_t Coalescer::pseudo_sum(const Candidate& candidate, std::size_t transport_octets) {
  return wire::checksum_fold(
      wire::pseudo_header_sum(wire::source_octets(candidate.packet), wire::destination_octets(candidate.packet),
                              candidate.info.protocol, static_cast<std::uint32_t>(transport_octets)));
}

bool Coalescer::may_start(Candidate& candidate) const {
  const auto& info = candidate.info;
  if (info.fragment || info.has_extensions) return false;
  if (info.protocol == wire::protocol::kTcp) return may_start_tcp(candidate);
  return udp_ && info.protocol == wire::protocol::kUdp && may_start_udp(candidate);
}

bool Coalescer::may_start_tcp(Candidate& candidate) {
  const auto& info = candidate.info;
  const auto tcp = wire::tcp_header_octets(candidate.packet.subspan(info.header_octets));
  if (!tcp) return false;
  candidate.transport_octets = *tcp;
  candidate.payload_octets = info.payload_octets() - *tcp;
  // Pure data: anything else is an event that its receiver should see at once and by itself.
  const auto flags = wire::tcp_flags(candidate.transport());
  return candidate.payload_octets > 0 && (flags & ~wire::tcp_flag::kPsh) == wire::tcp_flag::kAck;
}

bool Coalescer::may_start_udp(Candidate& candidate) {
  const auto segment = candidate.packet.subspan(candidate.info.header_octets);
  if (segment.size() <= wire::kUdpHeaderOctets) return false;
  // RFC 768: "An all zero transmitted checksum value means that the transmitter generated no checksum". The kernel
  // would make one.
  if (load_be16(&segment[wire::kUdpLengthOffset]) != segment.size() ||
      load_be16(&segment[wire::kUdpChecksumOffset]) == 0) {
    return false;
  }
  candidate.transport_octets = wire::kUdpHeaderOctets;
  candidate.payload_octets = segment.size() - wire::kUdpHeaderOctets;
  return true;
}

bool Coalescer::checksum_right(Candidate& candidate) {
  if (!candidate.checksum_known) {
    const auto segment = candidate.packet.subspan(candidate.info.header_octets);
    candidate.checksum_known =
        wire::checksum_fold(wire::checksum_add(pseudo_sum(candidate, segment.size()), segment)) == 0xffff;
  }
  return candidate.checksum_known;
}

bool Coalescer::same_ip_header(const Candidate& next) const {
  const auto* a = first_.packet.data();
  const auto* b = next.packet.data();
  if (first_.info.family != next.info.family) return false;
  if (!first_.info.is_v4()) {
    // Version, traffic class, flow label; hop limit; addresses.
    return std::memcmp(a, b, 4) == 0 && a[7] == b[7] && std::memcmp(a + 8, b + 8, 32) == 0;
  }
  // RFC 6864 section 4.1: with DF the ID means nothing; without it the sender's numbering must survive segmentation.
  const auto expected_id = static_cast<std::uint16_t>(load_be16(a + 4) + segments_);
  return a[1] == b[1] && a[8] == b[8] && load_be16(a + 6) == load_be16(b + 6) && std::memcmp(a + 12, b + 12, 8) == 0 &&
         (first_.info.dont_fragment || load_be16(b + 4) == expected_id);
}

bool Coalescer::continues(const Candidate& next) const {
  if (!active_ || segments_ == kMaxSegments || first_.device != next.device ||
      first_.info.protocol != next.info.protocol || first_.transport_octets != next.transport_octets ||
      next.payload_octets > first_.payload_octets || total_octets_ + next.payload_octets > kMaxPacketOctets) {
    return false;
  }
  const bool same_ports = std::memcmp(first_.transport(), next.transport(), 4) == 0;
  return same_ports && (next.is_udp() || continues_tcp(next)) && same_ip_header(next);
}

// Acknowledgment, window, urgent pointer and options (timestamps) alike; the sequence goes on.
bool Coalescer::continues_tcp(const Candidate& next) const {
  const auto* a = first_.transport();
  const auto* b = next.transport();
  return wire::tcp_sequence(b) == next_sequence_ && std::memcmp(a + 8, b + 8, 5) == 0 &&
         std::memcmp(a + 14, b + 14, 2) == 0 && std::memcmp(a + 18, b + 18, 2) == 0 &&
         std::memcmp(a + wire::kTcpHeaderOctets, b + wire::kTcpHeaderOctets,
                     first_.transport_octets - wire::kTcpHeaderOctets) == 0;
}

bool Coalescer::add(MutableByteView packet, const wire::IpPacketInfo& info, DeviceId device, std::uint32_t index) {
  Candidate candidate{packet, info, device, index};
  if (!may_start(candidate)) {
    const bool flushed = flush();
    return deliver(candidate) && flushed;
  }
  const bool udp = candidate.is_udp();
  const bool pushed = !udp && (wire::tcp_flags(candidate.transport()) & wire::tcp_flag::kPsh) != 0;
  if (continues(candidate) && checksum_right(first_) && checksum_right(candidate)) {
    slices_[segments_++] = candidate.payload();
    total_octets_ += candidate.payload_octets;
    next_sequence_ += static_cast<std::uint32_t>(candidate.payload_octets);
    if (pushed) first_.transport()[13] |= wire::tcp_flag::kPsh;
    // A short segment is the last one a super-packet can have; PSH asks for delivery.
    return pushed || candidate.payload_octets < first_.payload_octets ? flush() : true;
  }
  const bool flushed = flush();
  if (pushed) return deliver(candidate) && flushed;
  active_ = true;
  first_ = candidate;
  slices_[0] = packet;
  segments_ = 1;
  total_octets_ = packet.size();
  if (!udp) {
    next_sequence_ = wire::tcp_sequence(candidate.transport()) + static_cast<std::uint32_t>(candidate.payload_octets);
  }
  return flushed;
}

Offload Coalescer::finish_headers() {
  auto* ip = first_.packet.data();
  const std::size_t transport = total_octets_ - first_.info.header_octets;
  if (first_.info.is_v4()) {
    wire::set_ipv4_word(ip, 2, static_cast<std::uint16_t>(total_octets_));
  } else {
    store_be16(ip + 4, static_cast<std::uint16_t>(transport));
  }
  const bool udp = first_.is_udp();
  const auto checksum_at = udp ? wire::kUdpChecksumOffset : wire::kTcpChecksumOffset;
  const auto tcp = first_.info.is_v4() ? Offload::Gso::kTcpV4 : Offload::Gso::kTcpV6;
  if (udp) store_be16(first_.transport() + wire::kUdpLengthOffset, static_cast<std::uint16_t>(transport));
  // NEEDS_CSUM: the field holds the pseudo-header's sum. Every segment's own checksum was verified.
  store_be16(first_.transport() + checksum_at, pseudo_sum(first_, transport));
  return {.needs_checksum = true,
          .gso = udp ? Offload::Gso::kUdp : tcp,
          .header_octets = static_cast<std::uint16_t>(first_.info.header_octets + first_.transport_octets),
          .segment_octets = static_cast<std::uint16_t>(first_.payload_octets),
          .checksum_start = static_cast<std::uint16_t>(first_.info.header_octets),
          .checksum_offset = static_cast<std::uint16_t>(checksum_at)};
}

bool Coalescer::flush() {
  if (!active_) return true;
  active_ = false;
  const auto slices = out_.add_slices({slices_.data(), segments_});
  if (slices.empty()) return false;
  const Offload offload = segments_ > 1 ? finish_headers() : Offload{};
  out_.add(first_.index, DeliverToDevice{first_.device, offload, slices});
  return true;
}

bool Coalescer::deliver(const Candidate& single) {
  const ByteView slice = single.packet;
  const auto slices = out_.add_slices({&slice, 1});
  if (slices.empty()) return false;
  out_.add(single.index, DeliverToDevice{single.device, {}, slices});
  return true;
}

}  // namespace cygnet::engine
