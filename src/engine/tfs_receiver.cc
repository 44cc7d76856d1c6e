// SPDX-License-Identifier: Apache-2.0
#include "engine/tfs_receiver.h"

#include <algorithm>
#include <chrono>

namespace cygnet::engine {
namespace {

// RFC 9347 section 2.2.3: "payloads with a BlockOffset of zero and a single pad DataBlock", or with nothing (2.2.4).
[[nodiscard]] bool carries_nothing(const wire::AggfragHeader& header, ByteView data) {
  return header.block_offset == 0 && (data.empty() || wire::data_block_at(data).kind == wire::DataBlock::Kind::kPad);
}

}  // namespace

TfsReceiver::TfsReceiver(const model::IpTfs& config, std::uint64_t next)
    : window_(std::min(config.reorder_window, kMostWindow)),
      drop_time_(std::chrono::microseconds(config.drop_time_us)),
      next_(next) {}

void TfsReceiver::take(std::uint64_t sequence, MutableByteView payload, Instant now, Sink& sink) {
  if (sequence < next_) {
    // Section 2.2.3: "received older ESP packets whose sequence numbers the window has passed by are dropped".
    if (!payload.empty()) sink.on_lost(DropReason::kAggregationLost, payload);
    return;
  }
  losses_.on_received();
  if (sequence == next_) {
    ++next_;
    if (!payload.empty()) process(payload, now, true, sink);
    release_in_order(now, sink);
    return;
  }
  if (waiting_.empty()) waiting_since_ = now;
  waiting_.emplace(sequence, Bytes(payload.begin(), payload.end()));
  while (!waiting_.empty() && waiting_.rbegin()->first - next_ > window_) {
    skip_gap(now, sink);
    release_in_order(now, sink);
  }
}

void TfsReceiver::on_time(Instant now, Sink& sink) {
  while (!waiting_.empty() && next_deadline() <= now) {
    skip_gap(now, sink);
    release_in_order(now, sink);
  }
}

// What is in front of the first payload that waits never came.
void TfsReceiver::skip_gap(Instant now, Sink& sink) {
  const auto first = waiting_.begin()->first;
  losses_.on_lost(first - next_, now, peer_rtt_);
  next_ = first;
  forget_partial(DropReason::kAggregationLost, sink);
}

void TfsReceiver::release_in_order(Instant now, Sink& sink) {
  while (!waiting_.empty() && waiting_.begin()->first == next_) {
    ++next_;
    auto node = waiting_.extract(waiting_.begin());
    if (!node.mapped().empty()) process(node.mapped(), now, false, sink);
  }
  waiting_since_ = now;
}

void TfsReceiver::process(MutableByteView payload, Instant now, bool stays, Sink& sink) {
  const auto header = wire::parse_aggfrag_header(payload);
  if (!header) {
    sink.on_lost(DropReason::kBadAggregation, payload);
    return;
  }
  if (header->report) {
    note_report(*header->report, now);
    sink.on_report(*header->report);
  }
  const auto data = payload.subspan(header->octets());
  ++counted_.payloads;
  if (carries_nothing(*header, data)) {
    ++counted_.empty;
    counted_.padding += data.size();
    return;
  }
  const std::size_t offset = header->block_offset;
  if (offset == 0) {
    // Section 2.2.3: "The BlockOffset MUST be consistent with the remaining size".
    forget_partial(DropReason::kBadAggregation, sink);
    told_ = false;
  } else {
    continue_partial(data, offset, sink);
  }
  if (offset < data.size()) take_blocks(data.subspan(offset), stays, sink);
}

void TfsReceiver::continue_partial(ByteView data, std::size_t offset, Sink& sink) {
  const auto more = data.first(std::min(offset, data.size()));
  ++counted_.fragments;
  if (partial_.empty()) {
    if (!told_) sink.on_lost(DropReason::kAggregationLost, more);
    told_ = offset > data.size();
    return;
  }
  const std::size_t before = partial_.size();
  append(partial_, more);
  const auto block = wire::data_block_at(partial_);
  const bool agrees = block.kind == wire::DataBlock::Kind::kUnknown
                          ? offset > data.size()
                          : block.kind == wire::DataBlock::Kind::kPacket && block.octets == before + offset;
  if (!agrees) {
    forget_partial(DropReason::kBadAggregation, sink);
  } else if (partial_.size() == block.octets) {
    ++counted_.packets;
    sink.on_inner(partial_, false);
    partial_.clear();
  }
}

void TfsReceiver::take_blocks(MutableByteView data, bool stays, Sink& sink) {
  using Kind = wire::DataBlock::Kind;
  while (!data.empty()) {
    const auto block = wire::data_block_at(data);
    if (block.kind == Kind::kPad) {
      counted_.padding += data.size();
      return;
    }
    if (block.kind == Kind::kBad) {
      sink.on_lost(DropReason::kBadAggregation, data);
      return;
    }
    if (block.kind == Kind::kUnknown || block.octets > data.size()) {
      ++counted_.fragments;
      partial_.assign(data.begin(), data.end());
      return;
    }
    ++counted_.packets;
    sink.on_inner(data.first(block.octets), stays);
    data = data.subspan(block.octets);
  }
}

void TfsReceiver::forget_partial(DropReason reason, Sink& sink) {
  if (partial_.empty()) return;
  sink.on_lost(reason, partial_);
  partial_.clear();
  told_ = true;
}

std::size_t TfsReceiver::kept_octets() const {
  std::size_t octets = partial_.size();
  for (const auto& [sequence, payload] : waiting_) octets += payload.size();
  return octets;
}

void TfsReceiver::note_report(const wire::AggfragReport& report, Instant now) {
  peer_rtt_ = std::chrono::microseconds(report.rtt_us);
  // Section 3: "Subsequent receipt of the same TVal MUST NOT update the recorded time."
  if (report.value == value_) return;
  value_ = report.value;
  value_at_ = now;
}

wire::AggfragReport TfsReceiver::report(Instant now) const {
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now - value_at_).count();
  return {.loss_event_rate = losses_.loss_event_rate(),
          .echo_delay_us = value_ == 0 ? 0U
                                       : static_cast<std::uint32_t>(
                                             std::clamp<std::int64_t>(since, 0, wire::AggfragReport::kMostDelay)),
          .echo = value_};
}

}  // namespace cygnet::engine
