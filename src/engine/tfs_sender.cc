// SPDX-License-Identifier: Apache-2.0
#include "engine/tfs_sender.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace cygnet::engine {
namespace {

// A fragment shorter than this is not worth its trouble: the rest is padded.
constexpr std::size_t kLeastFragment = 40;
// Payloads owed only because the peer wants reports, where no round trip is known (RFC 9347 section 2.4.2: "at least
// once per RTT").
constexpr Duration kReportPause = std::chrono::milliseconds(20);

[[nodiscard]] std::int64_t microseconds_of(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace

TfsSender::TfsSender(const model::IpTfs& config) : config_(config) {}

bool TfsSender::push(ByteView packet, Instant now) {
  if (queued_octets_ + packet.size() > config_.max_queue_octets) return false;
  if (queue_.empty()) waiting_since_ = now;
  queue_.emplace_back(packet.begin(), packet.end());
  queued_octets_ += packet.size();
  return true;
}

void TfsSender::set_sizes(std::size_t outer_octets, std::size_t payload_octets) {
  outer_octets_ = outer_octets;
  payload_octets_ = payload_octets;
  if (!config_.congestion_control) return;
  if (rate_) {
    rate_->set_packet_octets(outer_octets);
  } else {
    rate_.emplace(outer_octets, config_.bits_per_s / 8);
  }
}

std::size_t TfsSender::header_octets() const {
  return carries_reports() ? wire::kAggfragReportOctets : wire::kAggfragOctets;
}

Duration TfsSender::interval() const {
  if (rate_) return rate_->interval();
  const auto bits = std::uint64_t{outer_octets_} * 8;
  const auto rate = std::max<std::uint64_t>(config_.bits_per_s, 1);
  return Duration(std::max<std::int64_t>(1, static_cast<std::int64_t>(bits * 1'000'000'000ULL / rate)));
}

bool TfsSender::next(Instant now, bool idle) {
  if (rate_) rate_->on_time(now);
  if (is_paced()) return next_by_rate(now, idle);
  return next_by_need(now) || (report_at_ && *report_at_ <= now);
}

// RFC 9347 section 2.4.1: "sends fixed-sized packets ... at a constant rate".
bool TfsSender::next_by_rate(Instant now, bool idle) {
  if (idle && queue_.empty()) {
    next_at_.reset();
    return false;
  }
  if (!next_at_) next_at_ = now;
  if (*next_at_ > now) return false;
  *next_at_ += interval();
  return true;
}

bool TfsSender::next_by_need(Instant now) const {
  if (queue_.empty()) return false;
  return queued_octets_ >= payload_octets_ - header_octets() ||
         now - waiting_since_ >= std::chrono::microseconds(config_.init_delay_us);
}

void TfsSender::catch_up(Instant now) {
  if (next_at_ && *next_at_ <= now) next_at_ = now + interval();
}

std::size_t TfsSender::forget(Instant now) {
  const std::size_t lost = queue_.size();
  queue_.clear();
  queued_octets_ = sent_of_first_ = 0;
  report_at_.reset();
  if (next_at_) next_at_ = now + std::max(interval(), kReportPause);
  return lost;
}

void TfsSender::write(std::uint8_t* to, Instant now, const wire::AggfragReport& heard) {
  wire::AggfragHeader header;
  if (sent_of_first_ != 0) header.block_offset = static_cast<std::uint16_t>(queue_.front().size() - sent_of_first_);
  if (carries_reports()) header.report = report_of(now, heard);
  wire::write_aggfrag_header(to, header);
  const MutableByteView blocks(to + header.octets(), payload_octets_ - header.octets());
  const std::size_t used = fill(blocks);
  // Section 2.2.2: "the only time padding is required is when there is no data to encapsulate"; a pad block is zeros.
  std::memset(blocks.data() + used, 0, blocks.size() - used);
  ++counted_.payloads;
  counted_.empty += used == 0 ? 1 : 0;
  counted_.padding += blocks.size() - used;
  waiting_since_ = now;
  last_sent_ = now;
  report_at_.reset();
}

std::size_t TfsSender::fill(MutableByteView to) {
  std::size_t used = 0;
  while (!queue_.empty() && used < to.size()) {
    const ByteView rest = ByteView(queue_.front()).subspan(sent_of_first_);
    const std::size_t room = to.size() - used;
    const bool whole = rest.size() <= room;
    if (!whole && !config_.fragment && used == 0) {
      // The path has become narrower since it was queued.
      ++oversize_;
      queued_octets_ -= rest.size();
      queue_.pop_front();
      continue;
    }
    if (!whole && sent_of_first_ == 0 && (!config_.fragment || room < kLeastFragment)) break;
    const auto now_sent = rest.first(std::min(rest.size(), room));
    std::memcpy(to.data() + used, now_sent.data(), now_sent.size());
    used += now_sent.size();
    queued_octets_ -= now_sent.size();
    counted_.fragments += !whole || sent_of_first_ != 0 ? 1 : 0;
    if (whole) {
      ++counted_.packets;
      queue_.pop_front();
      sent_of_first_ = 0;
    } else {
      sent_of_first_ += now_sent.size();
    }
  }
  return used;
}

wire::AggfragReport TfsSender::report_of(Instant now, wire::AggfragReport heard) const {
  // Zero says that nothing was heard yet, so it is no value.
  heard.value = static_cast<std::uint32_t>(microseconds_of(now.time_since_epoch())) | 1U;
  heard.rtt_us = rate_ ? rate_->rtt_us() : 0;
  heard.transmit_delay_us = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(is_paced() ? microseconds_of(interval()) : 0, 0, wire::AggfragReport::kMostDelay));
  return heard;
}

void TfsSender::on_report(const wire::AggfragReport& report, Instant now) {
  peer_delay_us_ = report.transmit_delay_us;
  if (!rate_) return;
  std::uint32_t rtt = 0;
  if (report.echo != 0) {
    const auto clock = static_cast<std::uint32_t>(microseconds_of(now.time_since_epoch())) | 1U;
    const std::uint32_t there_and_back = clock - report.echo;
    const std::uint32_t path = there_and_back > report.echo_delay_us ? there_and_back - report.echo_delay_us : 1;
    // Section 3: "The larger of these 2 RTT estimates SHOULD be used".
    const auto own_delay = static_cast<std::uint32_t>(std::min<std::int64_t>(microseconds_of(interval()), 1U << 21U));
    rtt = std::max(path, peer_delay_us_ + own_delay);
    // What no clock of ours can have said.
    if (path > wire::AggfragReport::kMostRtt) rtt = 0;
  }
  rate_->on_report(rtt, report.loss_event_rate, now);
}

model::TfsCounters TfsSender::counters() const {
  auto out = counted_;
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  out.rate = rate_ ? std::uint64_t{outer_octets_} * 8 * kNanoseconds / static_cast<std::uint64_t>(interval().count())
                   : config_.bits_per_s;
  return out;
}

void TfsSender::owe_report(Instant now) {
  if (is_paced() || !config_.reports || report_at_) return;
  report_at_ = std::max(now, last_sent_ + kReportPause);
}

Instant TfsSender::next_deadline(bool idle) const {
  if (is_paced()) {
    if (idle && queue_.empty()) return kNever;
    return next_at_ ? *next_at_ : Instant::min();
  }
  Instant next = report_at_.value_or(kNever);
  if (!queue_.empty()) next = std::min(next, waiting_since_ + std::chrono::microseconds(config_.init_delay_us));
  return next;
}

}  // namespace cygnet::engine
