// SPDX-License-Identifier: Apache-2.0
#pragma once

// Congestion control of IP-TFS (RFC 9347 section 2.4.2), which is TCP Friendly Rate Control (RFC 5348): the receiver
// measures how rare losses are, the sender how long a round trip takes, and an equation says how much TCP would send.
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace cygnet::engine {

// At the receiver: loss events and the intervals between them (RFC 5348 section 5).
class LossMeter {
 public:
  void on_received(std::uint64_t packets = 1) { intervals_[0] += packets; }
  // Packets that never came. Those within one round trip are one event (section 5.2); rtt of 0: not known yet.
  void on_lost(std::uint64_t packets, Instant now, Duration rtt);
  // One loss event in so many packets (RFC 9347 section 6.1.2); 0: none ever.
  [[nodiscard]] std::uint32_t loss_event_rate() const;

 private:
  static constexpr std::size_t kIntervals = 8;  // RFC 5348 section 5.4: n
  // The one that grows, and those before it, the newest first. Packets.
  std::array<std::uint64_t, kIntervals + 1> intervals_{};
  std::size_t closed_ = 0;
  Instant event_at_{};
};

// At the sender: octets a second.
class RateControl {
 public:
  // most_octets_per_s: never more; 0: what the equation says.
  RateControl(std::size_t packet_octets, std::uint64_t most_octets_per_s);

  void set_packet_octets(std::size_t octets) { packet_octets_ = octets; }
  // A report came: a measured round trip (0: none in it), and the peer's loss event rate.
  void on_report(std::uint32_t rtt_us, std::uint32_t loss_event_rate, Instant now);
  // Without reports for four round trips the rate is halved (RFC 9347 section 2.4.2).
  void on_time(Instant now);
  [[nodiscard]] Instant no_feedback_at() const { return no_feedback_at_; }
  [[nodiscard]] std::uint64_t octets_per_s() const;
  [[nodiscard]] std::uint32_t rtt_us() const { return static_cast<std::uint32_t>(rtt_us_); }
  // Of whole packets at this rate.
  [[nodiscard]] Duration interval() const;

 private:
  [[nodiscard]] double equation(double loss) const;
  void restart_feedback(Instant now);

  std::size_t packet_octets_;
  std::uint64_t most_;
  double rate_;
  double rtt_us_ = 0;
  Instant doubled_at_{};
  Instant no_feedback_at_ = kNever;
};

}  // namespace cygnet::engine
