// SPDX-License-Identifier: Apache-2.0
#include "engine/sa.h"

#include <algorithm>

#include "wire/ip_packet.h"

namespace cygnet::engine {
namespace {

static_assert(sizeof(ReplayWindow) <= 24, "the line of a packet in is full");

[[nodiscard]] bool is_plain_v4(const model::TrafficSelectors& selectors) {
  return selectors.size() == 1 && selectors[0].range.first.is_v4() && selectors[0].protocol == 0 &&
         selectors[0].all_ports();
}

}  // namespace

SaLimits SaLimits::of(const model::SaSpec& spec) {
  const auto or_unlimited = [](std::uint64_t v) { return v == 0 ? UINT64_MAX : v; };
  const auto& l = spec.lifetime;
  SaLimits limits{.soft_bytes = or_unlimited(l.soft_bytes),
                  .hard_bytes = or_unlimited(l.hard_bytes),
                  .soft_packets = or_unlimited(l.soft_packets),
                  .hard_packets = or_unlimited(l.hard_packets)};
  // RFC 4303 section 3.3.3: the sequence number "MUST NOT be allowed to cycle". Ask for a new SA while there is room.
  constexpr std::uint64_t kSequenceSoft = 0xf0000000U;
  if (!spec.esn && spec.direction == model::Direction::kOutbound) {
    limits.soft_packets = std::min(limits.soft_packets, kSequenceSoft);
  }
  return limits;
}

void SaCommon::begin() {
  worker = &cipher->ready();
  keys = worker->key_memory();
  shareable = worker->shareable();
}

void SaCommon::refresh_limits() {
  const auto unless_reported = [&](std::uint64_t soft) { return soft_reported ? UINT64_MAX : soft; };
  quiet_packets = std::min(unless_reported(limits.soft_packets), limits.hard_packets);
  quiet_bytes = std::min(unless_reported(limits.soft_bytes), limits.hard_bytes);
  // Counters and sequence number go on together, so the end of the sequence numbers is a number of packets too.
  if (!spec.esn && spec.direction == model::Direction::kOutbound) {
    const std::uint64_t left = sequence < UINT32_MAX ? UINT32_MAX - sequence : 0;
    quiet_packets = std::min(quiet_packets, packets + left);
  }
}

void OutboundSa::begin() {
  SaCommon::begin();
  seals_from_elsewhere = worker->seals_from_elsewhere();
}

void OutboundSa::refresh() {
  spi = spec.spi;
  local = spec.local;
  remote = spec.remote;
  has_mark = spec.mark.has_value();
  mark = spec.mark.value_or(0);
  udp = spec.udp_encapsulation;
  transport = spec.mode != model::Mode::kTunnel;
  pads = spec.tfc_octets != 0;
  with_ah = spec.protocol == model::SaProtocol::kAh;
  aggfrag = spec.iptfs.enabled;
  diet = spec.diet.enabled;
  compress = spec.ipcomp_cpi != 0;
  urgent = spec.traffic == model::Traffic::kLatency;
  clamp_mss = spec.clamp_mss;
  // RFC 6040 section 4.1, normal mode: the ingress copies the inner ECN field.
  tos_mask = static_cast<std::uint8_t>((spec.copy_dscp ? wire::kDscpMask : 0) | (spec.ecn ? wire::kEcnMask : 0));
  df = spec.df;
  refresh_limits();
}

void InboundSa::refresh() {
  spi = spec.spi;
  remote_tag = tag_of(spec.remote);
  tunnel = spec.mode == model::Mode::kTunnel;
  inside_ah = spec.inside_ah;
  aggfrag = spec.iptfs.enabled;
  diet = spec.diet.enabled;
  with_ah = spec.protocol == model::SaProtocol::kAh;
  ecn = spec.ecn;
  urgent = spec.traffic == model::Traffic::kLatency;
  udp = spec.udp_encapsulation;
  has_box = is_plain_v4(spec.local_selectors) && is_plain_v4(spec.remote_selectors);
  if (has_box) {
    const auto& ours = spec.local_selectors[0].range;
    const auto& theirs = spec.remote_selectors[0].range;
    box = {.local = ours.first.v4_value(),
           .local_span = ours.last.v4_value() - ours.first.v4_value(),
           .remote = theirs.first.v4_value(),
           .remote_span = theirs.last.v4_value() - theirs.first.v4_value()};
  }
  refresh_limits();
}

}  // namespace cygnet::engine
