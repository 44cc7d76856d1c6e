// SPDX-License-Identifier: Apache-2.0
// The way of a packet in through IP-TFS (RFC 9347): payloads are brought into order, packets taken out of them.
#include <algorithm>

#include "engine/inbound_run.h"
#include "wire/aggfrag_header.h"

namespace cygnet::engine {

// IP-TFS: where the packets of AGGFRAG payloads go.
class InboundRun::TfsSink final : public TfsReceiver::Sink {
 public:
  TfsSink(InboundRun& run, std::uint32_t index) : run_(run), index_(index) {}
  void on_inner(MutableByteView packet, bool stays) override {
    if (!stays) {
      auto* copy = run_.out_.allocate(packet.size());
      if (copy == nullptr) {
        run_.drop(index_, DropReason::kNoBuffer, packet);
        return;
      }
      std::ranges::copy(packet, copy);
      packet = {copy, packet.size()};
    }
    run_.finish_tunnel(packet, (packet[0] >> 4U) == 4U ? wire::protocol::kIpv4 : wire::protocol::kIpv6, index_);
  }
  // Its octets may be gone when the verdict is looked at.
  void on_lost(DropReason reason, ByteView) override { run_.drop_error(index_, reason); }
  void on_report(const wire::AggfragReport& report) override {
    auto* sibling = run_.sa_->sibling;
    if (sibling == nullptr || !sibling->tfs) return;
    sibling->tfs->on_report(report, run_.now_);
    sibling->tfs->owe_report(run_.now_);
    run_.state_.schedule(*sibling);
  }

 private:
  InboundRun& run_;
  std::uint32_t index_;
};

void InboundRun::finish_aggfrag(std::uint64_t sequence, MutableByteView payload, std::uint8_t next_header,
                                std::uint32_t index) {
  TfsSink sink(*this, index);
  if (next_header == wire::kAggfrag) {
    sa_->tfs->take(sequence, payload, now_, sink);
  } else {
    // RFC 9347 section 2.3: "A sender MUST only send AGGFRAG_PAYLOAD payloads over an SA configured for AGGFRAG mode";
    // dummies may come anywhere (RFC 4303 section 2.6).
    sa_->tfs->skip(sequence, now_, sink);
    const bool dummy = next_header == wire::protocol::kNoNextHeader;
    if (dummy) {
      drop(index, DropReason::kDummy, payload);
    } else {
      drop_error(index, DropReason::kBadNextHeader, payload);
    }
  }
  state_.schedule(*sa_);
}

void InboundRun::give_up_waiting(InboundSa& sa) {
  sa_ = &sa;
  favour(sa.urgent);
  TfsSink sink(*this, Verdict::kNoPacket);
  sa.tfs->on_time(now_, sink);
}

}  // namespace cygnet::engine
