// SPDX-License-Identifier: Apache-2.0
#pragma once

// The AGGFRAG payload of ESP (RFC 9347 section 6.1): inner packets behind each other, cut where the outer one ends.
//
//    0                   1                   2                   3
//   +---------------+-----------+-+-+-------------------------------+
//   |  Sub-type     |  Reserved |P|E|          BlockOffset          |
//   +---------------+-----------+-+-+-------------------------------+  sub-type 0: data blocks from here on
//   |                          LossEventRate                        |
//   +-------------------------------------------+-------------------+
//   |                    RTT (22)               |  Echo Delay (21)   ...
//   +---------------------+---------------------+-------------------+
//    ...                  |           Transmit Delay (21)           |
//   +---------------------+-----------------------------------------+
//   |                              TVal                             |
//   +---------------------------------------------------------------+
//   |                             TEcho                             |
//   +---------------------------------------------------------------+  sub-type 1: data blocks from here on
#include <cstdint>
#include <expected>
#include <optional>

#include "base/bytes.h"

namespace cygnet::wire {

inline constexpr std::uint8_t kAggfrag = 144;  // next header of ESP
inline constexpr std::size_t kAggfragOctets = 4;
inline constexpr std::size_t kAggfragReportOctets = 24;

// Section 6.1.2: what the ends of a congestion-controlled tunnel tell each other. Times in microseconds.
struct AggfragReport {
  static constexpr std::uint32_t kMostRtt = 0x3fffff;
  static constexpr std::uint32_t kMostDelay = 0x1fffff;

  bool probing = false;                 // P: path MTU probes are under way
  bool congestion_experienced = false;  // E: marks of ECN went into the rate
  std::uint32_t loss_event_rate = 0;    // one loss event in so many packets; 0: none
  std::uint32_t rtt_us = 0;             // the sender's estimate; 0: none yet
  std::uint32_t echo_delay_us = 0;      // since the echoed value came
  std::uint32_t transmit_delay_us = 0;  // between two packets of the sender
  std::uint32_t value = 0;              // TVal
  std::uint32_t echo = 0;               // TEcho; 0 before anything came
  bool operator==(const AggfragReport&) const = default;
};

struct AggfragHeader {
  std::uint16_t block_offset = 0;  // octets of the block that began in an earlier payload
  std::optional<AggfragReport> report;
  [[nodiscard]] std::size_t octets() const { return report ? kAggfragReportOctets : kAggfragOctets; }
  bool operator==(const AggfragHeader&) const = default;
};

// Nothing: shorter than its sub-type has to be, or of a sub-type that nobody defined.
[[nodiscard]] std::optional<AggfragHeader> parse_aggfrag_header(ByteView payload) noexcept;
// Values that do not fit their fields become the largest that do. Writes header.octets() octets.
void write_aggfrag_header(std::uint8_t* to, const AggfragHeader& header) noexcept;

// What begins at the first octet of `block` (section 6.1.3).
struct DataBlock {
  enum class Kind : std::uint8_t {
    kPad,      // up to the end of the payload
    kPacket,   // `octets` long, whether they are here or follow
    kUnknown,  // so little of it is here that its length is not: the rest follows
    kBad       // no data block at all
  };
  Kind kind = Kind::kBad;
  std::size_t octets = 0;
};
// block: at least one octet.
[[nodiscard]] DataBlock data_block_at(ByteView block) noexcept;

}  // namespace cygnet::wire
