// SPDX-License-Identifier: Apache-2.0
// The way of a packet out through AH (RFC 4302 section 3.3): its ICV covers the outer IP header, so the engine writes
// that header too, and cuts what is too large itself.
//   1. protect_with_ah  segments, checksums, MSS, size: whole, in fragments, or "too big" (outbound_single.h)
//   2. wrap_with_ah     headers in front, AH, payload; sequence number, ICV
//   3. send             one verdict for each outer packet or fragment
#include <cstring>

#include "engine/ah.h"
#include "engine/fragment.h"
#include "engine/outbound_sending.h"
#include "engine/outbound_shape.h"
#include "engine/outbound_single.h"
#include "engine/path_mtu.h"
#include "wire/ah_header.h"
#include "wire/ip_checksum.h"
#include "wire/ip_fast.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"

namespace cygnet::engine {
namespace {

constexpr std::uint8_t kOuterTtl = 64;

// Where AH stands in the outer packet, and what follows it.
struct Frame {
  std::size_t ah_at = 0;
  std::uint8_t next_header = 0;
};

// Tunnel mode: a header of our own.
[[nodiscard]] Frame write_outer_header(const Sending& sending, std::uint8_t* to, const OutboundSa& sa,
                                       std::size_t octets, const OuterWay& way, bool inner_v4) {
  const std::uint8_t next = inner_v4 ? wire::protocol::kIpv4 : wire::protocol::kIpv6;
  if (sa.remote.address.is_v4()) {
    // RFC 4302 section 3.3.3.1.1.1: the Identification is covered by the ICV, so it is ours to give.
    auto id = static_cast<std::uint16_t>(++sending.state.next_fragment_id);
    if (id == 0) id = static_cast<std::uint16_t>(++sending.state.next_fragment_id);  // 0: the kernel would choose one
    wire::write_ipv4_header(to, {.tos = way.tos,
                                 .total_octets = static_cast<std::uint16_t>(octets),
                                 .identification = id,
                                 .dont_fragment = way.dont_fragment,
                                 .ttl = kOuterTtl,
                                 .protocol = wire::protocol::kAh,
                                 .source = sa.local.address,
                                 .destination = sa.remote.address});
    return {wire::kIpv4HeaderOctets, next};
  }
  wire::write_ipv6_header(to, {.traffic_class = way.tos,
                               .payload_octets = static_cast<std::uint16_t>(octets - wire::kIpv6HeaderOctets),
                               .next_header = wire::protocol::kAh,
                               .hop_limit = kOuterTtl,
                               .source = sa.local.address,
                               .destination = sa.remote.address});
  return {wire::kIpv6HeaderOctets, next};
}

// Transport mode: the packet's own headers, made longer by AH.
[[nodiscard]] Frame write_own_headers(const Sending& sending, std::uint8_t* to, ByteView packet,
                                      const wire::AhPlace& place, std::size_t octets) {
  std::memcpy(to, packet.data(), place.offset);
  const std::uint8_t next = to[place.next_header_at];
  to[place.next_header_at] = wire::protocol::kAh;
  if ((to[0] >> 4U) == 4U) {
    auto id = load_be16(to + 4);
    // RFC 6864 lets whole packets have any number; the kernel would change 0 behind the ICV.
    while (id == 0) id = static_cast<std::uint16_t>(++sending.state.next_fragment_id);
    store_be16(to + 2, static_cast<std::uint16_t>(octets));
    store_be16(to + 4, id);
    store_be16(to + 10, 0);
    store_be16(to + 10, wire::internet_checksum({to, place.offset}));
  } else {
    store_be16(to + 4, static_cast<std::uint16_t>(octets - wire::kIpv6HeaderOctets));
  }
  return {place.offset, next};
}

void send(const Sending& sending, const OutboundSa& sa, ByteView packet, const OuterWay& way) {
  SendToPeer out{.local = sa.local, .remote = sa.remote, .whole_packet = true};
  out.dont_fragment = way.dont_fragment;
  out.tos = way.tos;
  if (sa.has_mark) out.mark = sa.mark;
  out.data = packet;
  out.segment_octets = packet.size();
  sending.out.add(sending.index, out);
}

// RFC 4302 section 3.3.4: "fragmentation occurs after AH processing".
template <typename Plan>
bool send_pieces(const Sending& sending, const OutboundSa& sa, const Plan& plan, const OuterWay& way) {
  if (!plan) return false;
  for (std::size_t i = 0; i < plan->count(); ++i) {
    auto* to = sending.out.allocate(plan->packet_octets(i));
    if (to == nullptr) return false;
    plan->write(i, to);
    send(sending, sa, {to, plan->packet_octets(i)}, way);
  }
  return true;
}

bool send_in_fragments(const Sending& sending, const OutboundSa& sa, ByteView packet, const OuterWay& way) {
  const auto mtu = outer_path_mtu(sa, sending.state.settings.link_mtu);
  if (!sa.remote.address.is_v4()) {
    return send_pieces(sending, sa, Ipv6Fragmentation::plan(packet, mtu, ++sending.state.next_fragment_id), way);
  }
  const auto info = wire::parse_ip_packet(packet);
  return info && send_pieces(sending, sa, Ipv4Fragmentation::plan(packet, *info, mtu), way);
}

}  // namespace

bool wrap_with_ah(const Sending& sending, OutboundSa& sa, ByteView packet, const OuterWay& way) {
  const auto family = sa.remote.address.family();
  const std::size_t ah = sa.ah->header_octets(family);
  std::optional<wire::AhPlace> place;
  if (sa.transport) {
    place = wire::ah_place(packet);
    if (!place || place->offset > wire::kMaxAhFrontOctets) {
      sending.drop(DropReason::kUnknownOption, packet);
      return false;
    }
  }
  const std::size_t front = family == Family::kV4 ? wire::kIpv4HeaderOctets : wire::kIpv6HeaderOctets;
  const std::size_t octets = (sa.transport ? 0 : front) + ah + packet.size();
  const auto payload = packet.subspan(sa.transport ? place->offset : 0);
  if (!may_send(sending, sa, payload.size())) return false;
  auto* to = octets <= kMaxDatagramOctets ? sending.out.allocate(octets) : nullptr;
  if (to == nullptr) {
    sending.drop(DropReason::kNoBuffer, packet);
    return false;
  }
  const auto frame = sa.transport ? write_own_headers(sending, to, packet, *place, octets)
                                  : write_outer_header(sending, to, sa, octets, way, (packet[0] >> 4U) == 4U);
  const std::uint64_t sequence = sa.sequence + 1;
  wire::write_ah_header(to + frame.ah_at, ah, frame.next_header, sa.spi, sequence);
  std::memcpy(to + frame.ah_at + ah, payload.data(), payload.size());
  const MutableByteView outer{to, octets};
  if (!sa.ah->seal(outer, frame.ah_at, sequence)) {
    sending.out.shrink(octets);
    sending.drop(DropReason::kUnknownOption, packet);
    return false;
  }
  sa.sequence = sequence;
  if (sending.lane.shared) sending.lane.queue_behind(sa);
  count_for_sa(sending, sa, payload.size());
  if (octets <= outer_path_mtu(sa, sending.state.settings.link_mtu)) {
    send(sending, sa, outer, way);
  } else if (!send_in_fragments(sending, sa, outer, way)) {
    sending.drop(DropReason::kNoBuffer, packet);
    return false;
  }
  count_sent(sending.state, packet.size());
  return true;
}

void protect_with_ah(const Sending& sending, Parsed& packet, OutboundSa& sa) {
  protect_one_by_one(sending, packet, sa, sa.inner_mtu,
                     [&](ByteView whole, const OuterWay& way) { return wrap_with_ah(sending, sa, whole, way); });
}

}  // namespace cygnet::engine
