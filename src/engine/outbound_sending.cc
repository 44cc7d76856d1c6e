// SPDX-License-Identifier: Apache-2.0
#include "engine/outbound_sending.h"

#include "wire/icmp_message.h"

namespace cygnet::engine {

bool may_still_send(const Sending& sending, OutboundSa& sa, std::size_t payload_octets) {
  if (sa.dead) {
    sending.drop(DropReason::kSaExpired);
    return false;
  }
  if (sa.is_quiet(payload_octets)) return true;
  if (sa.packets >= sa.limits.hard_packets || sa.bytes + payload_octets > sa.limits.hard_bytes) {
    sending.state.kill(sa);
    sending.drop(DropReason::kSaExpired);
    return false;
  }
  // RFC 4303 section 3.3.3: "the sender MUST NOT send a packet on an SA if doing so would cause the sequence number to
  // cycle".
  const std::uint64_t last = sa.spec.esn ? UINT64_MAX : UINT32_MAX;
  if (sa.sequence >= last) {
    sending.state.report_soft(sa);
    sending.drop(DropReason::kSequenceExhausted);
    return false;
  }
  return true;
}

void tell_too_big(const Sending& sending, const Parsed& packet, std::uint32_t mtu) {
  if (auto* error = sending.out.allocate(wire::kIcmpErrorOctets)) {
    const std::size_t octets = wire::write_too_big_error(error, packet.bytes, mtu);
    sending.out.shrink(wire::kIcmpErrorOctets - octets);
    const ByteView slice{error, octets};
    if (octets != 0) {
      const auto slices = sending.out.add_slices({&slice, 1});
      if (!slices.empty()) sending.out.add(sending.index, DeliverToDevice{packet.device, {}, slices});
    }
  }
  sending.drop(DropReason::kTooBig, packet.bytes);
}

}  // namespace cygnet::engine
