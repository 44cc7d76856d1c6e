// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway and rounds of clear text for the engine, which seals it.
#include <algorithm>
#include <memory>
#include <vector>

#include "gateway.h"

namespace cygnet::bench {

class OutboundDrive {
 public:
  OutboundDrive(const Algorithm& algorithm, const Scale& scale, std::uint64_t seed)
      : OutboundDrive(algorithm, scale,
                      std::make_shared<SharedGateway>(algorithm, scale, model::Direction::kOutbound, seed), 0) {}
  // One core of those that share it.
  OutboundDrive(const Algorithm& /*algorithm*/, const Scale& scale, std::shared_ptr<SharedGateway> shared,
                std::uint32_t core)
      : shared_(std::move(shared)),
        gateway_(shared_->gateway),
        lane_(shared_->lanes.empty() ? nullptr : shared_->lanes[core]),
        turns_(gateway_, core, scale.cores, false),
        stride_((scale.size + kTailroom + 63) / 64 * 64),
        memory_(stride_ * round_packets(scale)),
        packets_(round_packets(scale)) {
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      packets_[i] = {.bytes = {memory_.data() + i * stride_, scale.size},
                     .offload = {},
                     .device = gateway_.device(),
                     .tailroom = kTailroom};
    }
    // Every SA once, so that no key schedule is made in the measured time.
    for (std::size_t sent = 0; sent < 2 * std::size_t{scale.sas}; sent += packets_.size()) {
      prepare();
      run();
    }
  }

  // A round of packets to come.
  void prepare() {
    for (auto& packet : packets_) {
      write_packet(packet.bytes.data(), packet.bytes.size(), Gateway::kLocalHost, gateway_.host(turns_.next()));
    }
  }

  // The engine's work on them.
  void run() {
    const std::size_t burst = lane_ == nullptr ? gateway_.scale().burst : kLaneBurst;
    for (std::size_t i = 0; i < packets_.size(); i += burst) {
      verdicts_.clear();
      if (lane_ != nullptr) {
        gateway_.engine().process_outbound(*lane_, std::span(packets_).subspan(i, burst), Gateway::kNow, verdicts_);
        continue;
      }
      gateway_.engine().process_outbound(std::span(packets_).subspan(i, burst), Gateway::kNow, verdicts_);
    }
  }

  Gateway& gateway() { return gateway_; }
  [[nodiscard]] const std::shared_ptr<SharedGateway>& shared() const { return shared_; }
  [[nodiscard]] std::size_t packets() const { return packets_.size(); }
  [[nodiscard]] std::uint64_t arrived() { return gateway_.engine().statistics().packets_out; }

 private:
  static constexpr std::size_t kTailroom = 32;
  std::shared_ptr<SharedGateway> shared_;
  Gateway& gateway_;
  engine::Lane* lane_;
  Turns turns_;
  std::size_t stride_;
  Bytes memory_;
  std::vector<engine::OutPacket> packets_;
  engine::Verdicts verdicts_;
};

}  // namespace cygnet::bench
