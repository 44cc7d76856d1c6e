// SPDX-License-Identifier: Apache-2.0
#pragma once

// The packet that transport and BEET mode make out of an ESP payload: header, options, checksum.
#include <cstdint>

#include "base/bytes.h"
#include "engine/sa.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

// Writes the IP header that the packet would have had without ESP: the outer one with its protocol put back. Its
// octets.
[[nodiscard]] std::size_t write_transport_header(std::uint8_t* to, const InboundSa& sa, std::uint8_t next_header,
                                                 std::size_t payload_octets, std::uint8_t tos);
// Behind an IPv4 header whose total length counts them already. Their octets.
[[nodiscard]] std::size_t add_options(std::uint8_t* header, ByteView options);
// RFC 3948 section 3.1.2: a NAT changed the addresses under the checksum. "Recompute": the ICV vouches for the content.
void mend_transport_checksum(MutableByteView packet, const wire::IpPacketInfo& info);

}  // namespace cygnet::engine
