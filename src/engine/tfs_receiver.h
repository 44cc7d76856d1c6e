// SPDX-License-Identifier: Apache-2.0
#pragma once

// IP-TFS at the receiver (RFC 9347 section 2.5): AGGFRAG payloads are brought into the order of their sequence numbers,
// and the packets in them are taken out and put together. Bounded: at most the reorder window of payloads and one
// inner packet are kept, whatever arrives.
#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/drop_reason.h"
#include "base/time.h"
#include "engine/tfs_congestion.h"
#include "model/connection.h"
#include "model/sa_spec.h"
#include "wire/aggfrag_header.h"

namespace cygnet::engine {

class TfsReceiver {
 public:
  static constexpr std::uint32_t kMostWindow = 256;

  // Where the packets go.
  class Sink {
   public:
    virtual ~Sink() = default;
    // stays: it lies in the payload given to take(); else it is gone when the call returns.
    virtual void on_inner(MutableByteView packet, bool stays) = 0;
    virtual void on_lost(DropReason reason, ByteView data) = 0;
    virtual void on_report(const wire::AggfragReport& report) = 0;
  };

  // next: the first sequence number that is expected.
  TfsReceiver(const model::IpTfs& config, std::uint64_t next);

  // An authenticated payload, each sequence number once. It may be changed, and its packets go to the sink in order.
  void take(std::uint64_t sequence, MutableByteView payload, Instant now, Sink& sink);
  // A packet that carries none of the stream used this number (a dummy, RFC 4303 section 2.6).
  void skip(std::uint64_t sequence, Instant now, Sink& sink) { take(sequence, {}, now, sink); }
  // Gives up what was waited for longer than drop_time_us.
  void on_time(Instant now, Sink& sink);
  [[nodiscard]] Instant next_deadline() const { return waiting_.empty() ? kNever : waiting_since_ + drop_time_; }

  // What goes back to the peer: loss and echo. The times that only the sender knows are left out.
  [[nodiscard]] wire::AggfragReport report(Instant now) const;
  // In payloads that wait and in the packet that is put together.
  [[nodiscard]] std::size_t kept_octets() const;
  [[nodiscard]] const model::TfsCounters& counters() const { return counted_; }

 private:
  void process(MutableByteView payload, Instant now, bool stays, Sink& sink);
  void note_report(const wire::AggfragReport& report, Instant now);
  // The blocks of a payload behind its header and behind what belongs to an earlier block.
  void take_blocks(MutableByteView data, bool stays, Sink& sink);
  // Octets of the block that began earlier. False: they contradict it, and what is behind them is not looked for.
  void continue_partial(ByteView data, std::size_t offset, Sink& sink);
  void forget_partial(DropReason reason, Sink& sink);
  void release_in_order(Instant now, Sink& sink);
  void skip_gap(Instant now, Sink& sink);

  std::uint32_t window_;
  Duration drop_time_;
  std::uint64_t next_;
  std::map<std::uint64_t, Bytes> waiting_;  // payloads that came before their turn
  Instant waiting_since_{};                 // the gap in front of them
  Bytes partial_;                           // the beginning of an inner packet
  bool told_ = false;                       // that a packet is lost whose end may still come
  LossMeter losses_;
  Duration peer_rtt_{};
  std::uint32_t value_ = 0;  // last TVal
  Instant value_at_{};
  model::TfsCounters counted_;
};

}  // namespace cygnet::engine
