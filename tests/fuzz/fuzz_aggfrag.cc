// SPDX-License-Identifier: Apache-2.0
// AGGFRAG payloads of an authenticated but hostile peer (RFC 9347): what comes out is whole packets, what is kept is
// bounded. And what our own sender makes of any packets comes out again.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "engine/tfs_receiver.h"
#include "engine/tfs_sender.h"
#include "wire/aggfrag_header.h"

namespace {

using namespace cygnet;

void check(bool good) {
  if (!good) std::abort();
}

struct Collector final : engine::TfsReceiver::Sink {
  std::vector<Bytes> packets;
  std::size_t lost = 0;

  void on_inner(MutableByteView packet, bool) override {
    const auto block = wire::data_block_at(packet);
    check(block.kind == wire::DataBlock::Kind::kPacket && block.octets == packet.size());
    packets.emplace_back(packet.begin(), packet.end());
  }
  void on_lost(DropReason reason, ByteView) override {
    check(reason == DropReason::kBadAggregation || reason == DropReason::kAggregationLost);
    ++lost;
  }
  void on_report(const wire::AggfragReport& report) override {
    check(report.rtt_us <= wire::AggfragReport::kMostRtt);
    check(report.echo_delay_us <= wire::AggfragReport::kMostDelay);
  }
};

// Pieces of the input, each with one octet in front that says how far its sequence number is ahead.
void hostile(ByteView input) {
  const model::IpTfs config{.enabled = true, .reorder_window = input[0] % 20U, .drop_time_us = 1000};
  engine::TfsReceiver receiver(config, 1);
  Collector sink;
  Instant now{std::chrono::hours(1)};
  std::vector<std::uint64_t> seen;
  std::uint64_t top = 0;
  for (auto rest = input.subspan(1); rest.size() > 2;) {
    const std::uint8_t ahead = rest[0];
    const std::size_t octets = std::min<std::size_t>(rest[1] % 128U, rest.size() - 2);
    Bytes payload(rest.begin() + 2, rest.begin() + 2 + static_cast<std::ptrdiff_t>(octets));
    rest = rest.subspan(2 + octets);
    const std::uint64_t sequence = ahead < 200 ? top + ahead % 8U : top + (std::uint64_t{1} << (ahead % 40U));
    if (sequence == 0 || std::ranges::find(seen, sequence) != seen.end()) continue;  // the replay window's work
    seen.push_back(sequence);
    top = std::max(top, sequence);
    receiver.take(sequence, payload, now, sink);
    check(receiver.kept_octets() <= config.reorder_window * 128U + 65575U);
    now += std::chrono::microseconds(ahead);
    receiver.on_time(now, sink);
    (void)receiver.report(now);
  }
}

void honest(ByteView input) {
  model::IpTfs config{.enabled = true, .fragment = (input[0] & 1U) != 0, .congestion_control = false};
  config.reports = (input[0] & 2U) != 0;
  const std::size_t room = 128 + input[0];
  engine::TfsSender sender(config);
  engine::TfsReceiver receiver(config, 1);
  sender.set_sizes(room + 60, room);
  Collector sink;
  std::vector<Bytes> sent;
  std::uint64_t sequence = 0;
  const Instant now{std::chrono::hours(1)};
  for (const auto octet : input.subspan(1)) {
    const std::size_t most = config.fragment ? 1000 : room - sender.header_octets();
    Bytes packet(std::min<std::size_t>(20 + octet * 4U, most), octet);
    packet[0] = 0x45;
    store_be16(&packet[2], static_cast<std::uint16_t>(packet.size()));
    check(sender.push(packet, now));
    sent.push_back(std::move(packet));
    if (octet % 3 != 0) continue;
    while (sender.next(now, false)) {
      Bytes payload(room, 0xff);
      sender.write(payload.data(), now, {});
      receiver.take(++sequence, payload, now, sink);
    }
  }
  while (sender.next(now, false)) {
    Bytes payload(room, 0xff);
    sender.write(payload.data(), now, {});
    receiver.take(++sequence, payload, now, sink);
  }
  check(sink.packets == sent && sink.lost == 0 && sender.queued_octets() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3 || size > 4096) return 0;
  hostile({data, size});
  honest({data, std::min<std::size_t>(size, 256)});
  return 0;
}
