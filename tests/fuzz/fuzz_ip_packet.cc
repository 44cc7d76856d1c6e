// SPDX-License-Identifier: Apache-2.0
// Any octets as an IP packet, as what an ICMP error quotes, and as a TCP segment.
#include <cstdlib>
#include <vector>

#include "engine/engine.h"
#include "wire/icmp_message.h"
#include "wire/ip_packet.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cygnet;
  const ByteView input{data, size};
  if (const auto info = wire::parse_ip_packet(input)) {
    if (info->total_octets > size || info->header_octets > info->total_octets) std::abort();
    if (info->fragment_offset + info->payload_octets() > 65535) std::abort();
    if (wire::source_address(input).family() != info->family) std::abort();
    std::vector<std::uint8_t> error(wire::kIcmpErrorOctets);
    const auto octets = wire::write_too_big_error(error.data(), input, 1400);
    if (octets != 0 && !wire::parse_ip_packet(ByteView(error).first(octets))) std::abort();
  }
  (void)engine::OuterTooBig::parse(input, 1400);
  (void)wire::classify_udp_encapsulated(input);
  Bytes segment(input.begin(), input.end());
  (void)wire::clamp_tcp_mss(segment, 1000);
  return 0;
}
