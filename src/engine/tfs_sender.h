// SPDX-License-Identifier: Apache-2.0
#pragma once

// IP-TFS at the sender (RFC 9347 section 2): inner packets wait in a queue and fill AGGFRAG payloads of one size, one
// behind the other, cut where a payload ends. Payloads go at a constant rate whatever waits, at the rate that the
// peer's reports allow, or as soon as there is something to send.
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/time.h"
#include "engine/tfs_congestion.h"
#include "model/connection.h"
#include "model/sa_spec.h"
#include "wire/aggfrag_header.h"

namespace cygnet::engine {

class TfsSender {
 public:
  explicit TfsSender(const model::IpTfs& config);

  // A whole inner packet. False: more waits than may.
  [[nodiscard]] bool push(ByteView packet, Instant now);
  [[nodiscard]] std::size_t queued_octets() const { return queued_octets_; }

  // outer_octets: of a whole packet on the wire, and payload_octets of its AGGFRAG payload: what the path takes now.
  void set_sizes(std::size_t outer_octets, std::size_t payload_octets);
  [[nodiscard]] std::size_t payload_octets() const { return payload_octets_; }
  [[nodiscard]] std::size_t header_octets() const;

  // Payloads that go at once; what is later than that is not made up for.
  static constexpr std::size_t kMostAtOnce = 64;
  // Whether another payload is due: then it is to be written. idle: another SA has taken over, so nothing is sent that
  // carries nothing.
  [[nodiscard]] bool next(Instant now, bool idle);
  // After kMostAtOnce payloads.
  void catch_up(Instant now);
  // The SA sends nothing any more: packets that are lost with it.
  [[nodiscard]] std::size_t forget(Instant now);
  // Packets that the path takes no more and that may not be cut, since this was asked last.
  [[nodiscard]] std::size_t take_oversize() { return std::exchange(oversize_, 0); }
  // Writes one of payload_octets(). heard: what the receiver of the other direction has to say.
  void write(std::uint8_t* to, Instant now, const wire::AggfragReport& heard);

  // The peer sent this.
  void on_report(const wire::AggfragReport& report, Instant now);
  // Something came that the peer wants to be told about, if nothing goes anyway.
  void owe_report(Instant now);
  [[nodiscard]] bool carries_reports() const { return config_.reports || config_.congestion_control; }

  [[nodiscard]] Instant next_deadline(bool idle) const;
  // Payload octets of a fixed rate, not of what there is to send.
  [[nodiscard]] bool is_paced() const { return config_.bits_per_s != 0 || config_.congestion_control; }
  [[nodiscard]] model::TfsCounters counters() const;
  [[nodiscard]] const RateControl* rate() const { return rate_ ? &*rate_ : nullptr; }

 private:
  [[nodiscard]] Duration interval() const;
  [[nodiscard]] bool next_by_rate(Instant now, bool idle);
  [[nodiscard]] bool next_by_need(Instant now) const;
  [[nodiscard]] std::size_t fill(MutableByteView to);
  [[nodiscard]] wire::AggfragReport report_of(Instant now, wire::AggfragReport heard) const;

  model::IpTfs config_;
  std::size_t outer_octets_ = 0;
  std::size_t payload_octets_ = 0;
  std::deque<Bytes> queue_;
  std::size_t queued_octets_ = 0;  // what is left of them
  std::size_t sent_of_first_ = 0;
  std::size_t oversize_ = 0;
  Instant waiting_since_{};         // the first of the queue
  std::optional<Instant> next_at_;  // paced: the next payload
  std::optional<RateControl> rate_;
  std::uint32_t peer_delay_us_ = 0;
  Instant last_sent_{};
  std::optional<Instant> report_at_;
  model::TfsCounters counted_;
};

}  // namespace cygnet::engine
