// SPDX-License-Identifier: Apache-2.0
#include "engine/tfs_congestion.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace cygnet::engine {
namespace {

constexpr double kMostRate = 1.25e9;  // octets a second: ten gigabits
// RFC 5348 section 4.3: "X_recover ... s/t_mbi", one packet in 64 seconds.
constexpr double kSlowestPacket_s = 64;
constexpr std::uint64_t kMostInterval = UINT32_MAX;

}  // namespace

void LossMeter::on_lost(std::uint64_t packets, Instant now, Duration rtt) {
  if (packets == 0) return;
  // RFC 5348 section 5.2: a loss belongs to the event before it if it came within a round trip of that one's beginning.
  const bool same_event = closed_ != 0 && now - event_at_ < rtt;
  if (same_event) {
    intervals_[0] += packets;
    return;
  }
  std::copy_backward(intervals_.begin(), intervals_.end() - 1, intervals_.end());
  // Section 5.3: an interval begins with the first packet lost.
  intervals_[0] = packets;
  closed_ = std::min(closed_ + 1, kIntervals);
  event_at_ = now;
}

std::uint32_t LossMeter::loss_event_rate() const {
  if (closed_ == 0) return 0;
  // Section 5.4: the weighted mean, with the interval that still grows or without it, whichever is larger.
  constexpr std::array<double, kIntervals> kWeights{1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2};
  double weight = 0;
  double with = 0;
  double without = 0;
  for (std::size_t i = 0; i < closed_; ++i) {
    weight += kWeights[i];
    with += kWeights[i] * static_cast<double>(intervals_[i]);
    without += kWeights[i] * static_cast<double>(intervals_[i + 1]);
  }
  const double mean = std::max(with, without) / weight;
  return static_cast<std::uint32_t>(std::clamp<double>(mean, 1, static_cast<double>(kMostInterval)));
}

RateControl::RateControl(std::size_t packet_octets, std::uint64_t most_octets_per_s)
    : packet_octets_(packet_octets),
      most_(most_octets_per_s),
      // RFC 5348 section 4.2: before a round trip is known, one packet a second. Here four, so that reports flow.
      rate_(static_cast<double>(packet_octets) * 4) {}

// RFC 5348 section 3.1, with b = 1 and t_RTO = 4 * R.
double RateControl::equation(double loss) const {
  const double round_trip_s = rtt_us_ / 1e6;
  const double slow = round_trip_s * std::sqrt(2 * loss / 3);
  const double timeouts = 4 * round_trip_s * (3 * std::sqrt(3 * loss / 8)) * loss * (1 + 32 * loss * loss);
  return static_cast<double>(packet_octets_) / (slow + timeouts);
}

void RateControl::restart_feedback(Instant now) {
  // RFC 5348 section 4.3: max(4 * RTT, 2 * s / X).
  const double packets_us = 2e6 * static_cast<double>(packet_octets_) / rate_;
  no_feedback_at_ = now + std::chrono::microseconds(static_cast<std::int64_t>(std::max(4 * rtt_us_, packets_us)));
}

void RateControl::on_report(std::uint32_t rtt_us, std::uint32_t loss_event_rate, Instant now) {
  if (rtt_us != 0) {
    // RFC 5348 section 4.3: "R = q*R + (1-q)*R_sample", q = 0.9.
    rtt_us_ = rtt_us_ == 0 ? rtt_us : 0.9 * rtt_us_ + 0.1 * rtt_us;
  }
  if (rtt_us_ > 0) {
    const double slowest = static_cast<double>(packet_octets_) / kSlowestPacket_s;
    if (loss_event_rate != 0) {
      rate_ = std::max(equation(1.0 / loss_event_rate), slowest);
    } else if (now - doubled_at_ >= std::chrono::microseconds(static_cast<std::int64_t>(rtt_us_))) {
      // Section 4.3, initial slow start: doubled once a round trip.
      rate_ *= 2;
      doubled_at_ = now;
    }
    rate_ = std::min(rate_, most_ == 0 ? kMostRate : static_cast<double>(most_));
  }
  restart_feedback(now);
}

void RateControl::on_time(Instant now) {
  if (no_feedback_at_ == kNever) restart_feedback(now);
  if (now < no_feedback_at_) return;
  rate_ = std::max(rate_ / 2, static_cast<double>(packet_octets_) / kSlowestPacket_s);
  restart_feedback(now);
}

std::uint64_t RateControl::octets_per_s() const { return static_cast<std::uint64_t>(std::max(rate_, 1.0)); }

Duration RateControl::interval() const {
  return Duration(static_cast<std::int64_t>(1e9 * static_cast<double>(packet_octets_) / std::max(rate_, 1.0)));
}

}  // namespace cygnet::engine
