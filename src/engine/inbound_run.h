// SPDX-License-Identifier: Apache-2.0
#pragma once

// A burst on its way in: inbound.cc walks it, inbound_tfs.cc and inbound_shared.cc know the ways that few packets take.
#include <span>

#include "engine/coalesce.h"
#include "engine/state.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

class InboundRun {
 public:
  InboundRun(EngineState& state, std::span<InPacket> packets, bool apart, Instant now, Verdicts& out)
      : state_(state),
        lane_(*state.lane),
        apart_(apart),
        packets_(packets),
        now_(now),
        out_(out),
        coalescer_(out, state.merges_udp) {}
  InboundRun(const InboundRun&) = delete;
  InboundRun& operator=(const InboundRun&) = delete;
  ~InboundRun() {
    if (!coalescer_.flush()) state_.count(DropReason::kNoBuffer);
    out_.tell_urgent(now_);
    out_.favour(false);
  }

  void process();
  // Only what is of SAs with traffic=latency; the rest is dropped.
  void process_urgent();
  void finish_jobs(std::size_t from, std::size_t to);
  // IP-TFS: of an SA whose payloads waited too long.
  void give_up_waiting(InboundSa& sa);

 private:
  class TfsSink;
  void add_piece(MutableByteView esp, std::uint32_t index, bool inside_ah = false);
  void run_pieces(bool last);
  void find_all(std::size_t count);
  [[nodiscard]] std::uint32_t take_urgent(std::size_t count);
  // What take_urgent() has left.
  void take_rest(std::size_t count, std::uint32_t taken);
  // Where what comes out from now on stands.
  void favour(bool urgent);
  void open_jobs(std::size_t from, std::size_t to);
  void take_esp(const EspPiece& piece, InboundSa* sa);
  void take_diet(ByteView packet, std::uint32_t index);
  void take_ah(MutableByteView packet, std::uint32_t index);
  void finish_ah_transport(MutableByteView packet, std::size_t ah_at, std::uint32_t index);
  void drop_replayed(std::uint32_t index, ReplayWindow::Verdict verdict, ByteView data) {
    drop_error(index, verdict == ReplayWindow::Verdict::kOld ? DropReason::kReplayOld : DropReason::kReplaySeen, data);
  }
  void on_no_sa(const EspPiece& piece);
  void on_unknown_spi(Spi spi, const InPacket& packet);
  void flush(bool last);
  void finish_esp(const crypto::EspJob& job, std::uint32_t index);
  [[nodiscard]] bool expand(MutableByteView& payload, std::uint8_t& next_header, std::uint32_t index);
  void note_alive(const InPacket& packet, bool newest);
  void finish_aggfrag(std::uint64_t sequence, MutableByteView payload, std::uint8_t next_header, std::uint32_t index);
  void finish_tunnel(MutableByteView payload, std::uint8_t next_header, std::uint32_t index);
  void finish_transport(MutableByteView payload, std::uint8_t next_header, std::uint32_t index);
  [[nodiscard]] bool give_flow_to_sender(MutableByteView packet, const wire::IpPacketInfo& info, std::uint32_t index);
  [[nodiscard]] bool apply_outer_ecn(MutableByteView inner, wire::IpPacketInfo& info, std::uint8_t outer_tos) const;
  void deliver(MutableByteView packet, const wire::IpPacketInfo& info, std::uint32_t index);
  [[nodiscard]] bool within_selectors(ByteView packet, const wire::IpPacketInfo& info) const;
  [[nodiscard]] bool count_received(std::size_t payload_octets);
  void note_remote(const InPacket& packet);
  void drop(std::uint32_t index, DropReason reason, ByteView data = {}) { state_.drop(out_, index, reason, data); }
  // Failures that count against the SA (RFC 4301 section 4.4.2.1 has them audited).
  void drop_error(std::uint32_t index, DropReason reason, ByteView data = {}) {
    ++sa_->errors;
    drop(index, reason, data);
  }

  EngineState& state_;
  Lane& lane_;
  bool apart_;  // the ciphers work beside other threads
  std::span<InPacket> packets_;
  Instant now_;
  Verdicts& out_;
  Coalescer coalescer_;
  InboundSa* sa_ = nullptr;  // of the packet being worked on
  std::size_t pieces_ = 0;
  std::size_t jobs_ = 0;
  bool only_urgent_ = false;
};

}  // namespace cygnet::engine
