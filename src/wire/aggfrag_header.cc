// SPDX-License-Identifier: Apache-2.0
#include "wire/aggfrag_header.h"

#include <algorithm>

#include "wire/ip_packet.h"

namespace cygnet::wire {
namespace {

constexpr std::uint8_t kPlain = 0;
constexpr std::uint8_t kWithReport = 1;
constexpr std::uint8_t kProbingBit = 0x02;
constexpr std::uint8_t kCongestionBit = 0x01;

// RTT, Echo Delay and Transmit Delay: 22 + 21 + 21 bits.
void write_times(std::uint8_t* to, const AggfragReport& report) {
  const std::uint64_t rtt = std::min(report.rtt_us, AggfragReport::kMostRtt);
  const std::uint64_t echo = std::min(report.echo_delay_us, AggfragReport::kMostDelay);
  const std::uint64_t transmit = std::min(report.transmit_delay_us, AggfragReport::kMostDelay);
  const std::uint64_t all = rtt << 42U | echo << 21U | transmit;
  store_be32(to, static_cast<std::uint32_t>(all >> 32U));
  store_be32(to + 4, static_cast<std::uint32_t>(all));
}

void read_times(const std::uint8_t* from, AggfragReport& report) {
  const std::uint64_t all = std::uint64_t{load_be32(from)} << 32U | load_be32(from + 4);
  report.rtt_us = static_cast<std::uint32_t>(all >> 42U);
  report.echo_delay_us = static_cast<std::uint32_t>(all >> 21U) & AggfragReport::kMostDelay;
  report.transmit_delay_us = static_cast<std::uint32_t>(all) & AggfragReport::kMostDelay;
}

}  // namespace

std::optional<AggfragHeader> parse_aggfrag_header(ByteView payload) noexcept {
  if (payload.size() < kAggfragOctets) return std::nullopt;
  AggfragHeader header{.block_offset = load_be16(payload.data() + 2), .report = {}};
  if (payload[0] == kPlain) return header;
  if (payload[0] != kWithReport || payload.size() < kAggfragReportOctets) return std::nullopt;
  AggfragReport report{.probing = (payload[1] & kProbingBit) != 0,
                       .congestion_experienced = (payload[1] & kCongestionBit) != 0,
                       .loss_event_rate = load_be32(payload.data() + 4),
                       .value = load_be32(payload.data() + 16),
                       .echo = load_be32(payload.data() + 20)};
  read_times(payload.data() + 8, report);
  header.report = report;
  return header;
}

void write_aggfrag_header(std::uint8_t* to, const AggfragHeader& header) noexcept {
  to[0] = header.report ? kWithReport : kPlain;
  to[1] = 0;
  store_be16(to + 2, header.block_offset);
  if (!header.report) return;
  const auto& report = *header.report;
  to[1] = static_cast<std::uint8_t>((report.probing ? kProbingBit : 0) |
                                    (report.congestion_experienced ? kCongestionBit : 0));
  store_be32(to + 4, report.loss_event_rate);
  write_times(to + 8, report);
  store_be32(to + 16, report.value);
  store_be32(to + 20, report.echo);
}

DataBlock data_block_at(ByteView block) noexcept {
  using Kind = DataBlock::Kind;
  switch (block[0] >> 4U) {
    case 0: return {.kind = Kind::kPad, .octets = block.size()};
    case 4: {
      if (block.size() < 4) return {.kind = Kind::kUnknown};
      const std::size_t octets = load_be16(block.data() + 2);
      return {.kind = octets < kIpv4HeaderOctets ? Kind::kBad : Kind::kPacket, .octets = octets};
    }
    case 6:
      if (block.size() < 6) return {.kind = Kind::kUnknown};
      return {.kind = Kind::kPacket, .octets = kIpv6HeaderOctets + load_be16(block.data() + 4)};
    default: return {.kind = Kind::kBad};
  }
}

}  // namespace cygnet::wire
