// SPDX-License-Identifier: Apache-2.0
#pragma once

// A gateway and rounds of ESP for the engine, which opens it.
#include <algorithm>
#include <memory>
#include <vector>

#include "gateway.h"
#include "wire/esp_header.h"
#include "wire/ip_packet.h"

namespace cygnet::bench {

class InboundDrive {
 public:
  InboundDrive(const Algorithm& algorithm, const Scale& scale, std::uint64_t seed)
      : InboundDrive(algorithm, scale,
                     std::make_shared<SharedGateway>(algorithm, scale, model::Direction::kInbound, seed), 0) {}
  // One core of those that share it.
  InboundDrive(const Algorithm& algorithm, const Scale& scale, std::shared_ptr<SharedGateway> shared,
               std::uint32_t core)
      : shared_(std::move(shared)),
        gateway_(shared_->gateway),
        lane_(shared_->lanes.empty() ? nullptr : shared_->lanes[core]),
        turns_(gateway_, core, scale.cores, true),
        cipher_(algorithm.create()),
        octets_(esp_size(*cipher_, scale.size)),
        stride_((octets_ + 63) / 64 * 64),
        memory_(stride_ * round_packets(scale)),
        packets_(round_packets(scale)),
        sequences_(scale.sas) {
    for (std::size_t i = 0; i < packets_.size(); ++i) packets_[i].bytes = {memory_.data() + i * stride_, octets_};
    // Every SA once, so that no key schedule is made in the measured time.
    for (std::size_t opened = 0; opened < turns_.size(); opened += packets_.size()) {
      prepare();
      run();
    }
  }

  // A round of packets to come.
  void prepare() {
    for (auto& packet : packets_) seal(packet);
  }

  // The engine's work on them.
  void run() {
    const std::size_t burst = lane_ == nullptr ? gateway_.scale().burst : kLaneBurst;
    for (std::size_t i = 0; i < packets_.size(); i += burst) {
      verdicts_.clear();
      if (lane_ != nullptr) {
        gateway_.engine().process_inbound(*lane_, std::span(packets_).subspan(i, burst), Gateway::kNow, verdicts_);
        continue;
      }
      gateway_.engine().process_inbound(std::span(packets_).subspan(i, burst), Gateway::kNow, verdicts_);
    }
  }

  Gateway& gateway() { return gateway_; }
  [[nodiscard]] const std::shared_ptr<SharedGateway>& shared() const { return shared_; }
  [[nodiscard]] std::size_t packets() const { return packets_.size(); }
  [[nodiscard]] std::uint64_t arrived() { return gateway_.engine().statistics().packets_in; }

 private:
  // All SAs have the same keys, so one cipher speaks for every peer.
  void seal(engine::InPacket& packet) {
    const auto sa = turns_.next();
    const std::size_t size = gateway_.scale().size;
    auto* esp = packet.bytes.data();
    auto* inner = esp + wire::kEspHeaderOctets + cipher_->iv_octets();
    const std::uint64_t sequence = ++sequences_[sa];
    wire::write_esp_header(esp, gateway_.spi(sa), sequence);
    write_packet(inner, size, gateway_.host(sa), Gateway::kLocalHost);
    const auto pad = wire::esp_pad_octets(size, std::max<std::size_t>(4, cipher_->block_octets()));
    wire::write_esp_trailer(inner + size, pad, wire::protocol::kIpv4);
    crypto::EspJob job{.esp = esp, .octets = octets_, .sequence = sequence};
    cipher_->seal({&job, 1});
    packet.local = {IpAddress::v4(0xc0000201U), 4500};
    packet.remote = {IpAddress::v4(0xc6120000U + sa), 4500};
    packet.udp = true;
  }

  std::shared_ptr<SharedGateway> shared_;
  Gateway& gateway_;
  engine::Lane* lane_;
  Turns turns_;
  std::unique_ptr<crypto::EspCipher> cipher_;
  std::size_t octets_;
  std::size_t stride_;
  Bytes memory_;
  std::vector<engine::InPacket> packets_;
  std::vector<std::uint32_t> sequences_;
  engine::Verdicts verdicts_;
};

}  // namespace cygnet::bench
