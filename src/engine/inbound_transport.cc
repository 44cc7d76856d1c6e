// SPDX-License-Identifier: Apache-2.0
#include "engine/inbound_transport.h"

#include <algorithm>

#include "wire/ip_checksum.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

namespace cygnet::engine {
namespace {

constexpr std::uint8_t kTransportTtl = 64;  // the outer TTL is not told to us; nothing counts it down any more

}  // namespace

std::size_t write_transport_header(std::uint8_t* to, const InboundSa& sa, std::uint8_t next_header,
                                   std::size_t payload_octets, std::uint8_t tos) {
  const bool beet = sa.spec.mode == model::Mode::kBeet;
  const auto& source = beet ? sa.spec.inner_remote : sa.spec.remote.address;
  const auto& destination = beet ? sa.spec.inner_local : sa.spec.local.address;
  if (source.is_v4()) {
    wire::write_ipv4_header(to, {.tos = tos,
                                 .total_octets = static_cast<std::uint16_t>(wire::kIpv4HeaderOctets + payload_octets),
                                 .ttl = kTransportTtl,
                                 .protocol = next_header,
                                 .source = source,
                                 .destination = destination});
    return wire::kIpv4HeaderOctets;
  }
  wire::write_ipv6_header(to, {.traffic_class = tos,
                               .payload_octets = static_cast<std::uint16_t>(payload_octets),
                               .next_header = next_header,
                               .hop_limit = kTransportTtl,
                               .source = source,
                               .destination = destination});
  return wire::kIpv6HeaderOctets;
}

std::size_t add_options(std::uint8_t* header, ByteView options) {
  if (options.empty()) return 0;
  std::ranges::copy(options, header + wire::kIpv4HeaderOctets);
  const std::size_t octets = wire::kIpv4HeaderOctets + options.size();
  header[0] = static_cast<std::uint8_t>(0x40U | (octets / 4));
  store_be16(header + 10, 0);
  store_be16(header + 10, wire::internet_checksum({header, octets}));
  return options.size();
}

void mend_transport_checksum(MutableByteView packet, const wire::IpPacketInfo& info) {
  const auto upper = packet.subspan(info.header_octets);
  const bool udp = info.protocol == wire::protocol::kUdp;
  if (info.fragment || (!udp && info.protocol != wire::protocol::kTcp)) return;
  if (upper.size() < (udp ? wire::kUdpHeaderOctets : wire::kTcpHeaderOctets)) return;
  auto* field = upper.data() + (udp ? 6 : wire::kTcpChecksumOffset);
  if (udp && load_be16(field) == 0) return;  // RFC 768: the sender generated none
  store_be16(field, 0);
  const auto sum = wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet), info.protocol,
                                           static_cast<std::uint32_t>(upper.size()));
  auto checksum = static_cast<std::uint16_t>(~wire::checksum_fold(wire::checksum_add(sum, upper)));
  if (udp && checksum == 0) checksum = 0xffff;
  store_be16(field, checksum);
}

}  // namespace cygnet::engine
