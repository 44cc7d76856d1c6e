// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sealed packets of one size that follow each other in memory become one send (UDP_SEGMENT).
#include "engine/outbound_shape.h"
#include "engine/packet.h"
#include "engine/sa.h"

namespace cygnet::engine {

class SendGroup {
 public:
  // `index`: the packet it came from.
  void add(Verdicts& out, std::uint32_t index, const OutboundSa& sa, ByteView esp, const OuterWay& way) {
    if (sa_ == &sa && way_ == way && place_ + 1 == out.place() && takes(esp)) {
      send_->data = {send_->data.data(), send_->data.size() + esp.size()};
      ++segments_;
      full_ = esp.size() == send_->segment_octets;
      return;
    }
    place_ = out.place();
    sa_ = &sa;
    way_ = way;
    segments_ = 1;
    full_ = true;
    auto& send = out.emplace<SendToPeer>(index);
    send_ = &send;
    send.local = sa.local;
    send.remote = sa.remote;
    send.udp = sa.udp;
    send.dont_fragment = way.dont_fragment;
    send.tos = way.tos;
    if (sa.has_mark) send.mark = sa.mark;
    send.data = esp;
    send.segment_octets = esp.size();
  }

 private:
  // The kernel takes at most 64 segments in a UDP_SEGMENT send, and one IP packet's worth of octets.
  static constexpr std::size_t kMaxSegments = 64;
  static constexpr std::size_t kMaxOctets = 65000;

  [[nodiscard]] bool takes(ByteView esp) const {
    const bool touches = send_->data.data() + send_->data.size() == esp.data();
    return touches && full_ && esp.size() <= send_->segment_octets && segments_ < kMaxSegments &&
           send_->data.size() + esp.size() <= kMaxOctets;
  }

  // The send that may still grow: always the last verdict.
  std::size_t place_ = SIZE_MAX;
  const OutboundSa* sa_ = nullptr;
  SendToPeer* send_ = nullptr;
  OuterWay way_;
  std::size_t segments_ = 0;
  bool full_ = true;  // all its packets have the same size: another may follow
};

}  // namespace cygnet::engine
