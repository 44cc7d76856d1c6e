// SPDX-License-Identifier: Apache-2.0
// outbound-tso/ALGORITHM and inbound-gro/ALGORITHM: super-packets of TCP. Out: 64,000 octets from the device in one
// piece, cut to segments of 1,388 octets, sealed next to each other for one UDP_SEGMENT send. In: the same train as
// UDP_GRO hands it over, opened and merged to one write. pps counts the ESP packets.
#include <vector>

#include "cases.h"
#include "gateway.h"
#include "measure.h"
#include "suite.h"
#include "wire/ip_packet.h"
#include "wire/ipv4_header.h"
#include "wire/tcp_header.h"

namespace cygnet::bench {
namespace {

constexpr std::size_t kPayload = 64'000;
constexpr std::size_t kSegment = 1388;
constexpr std::size_t kHeaders = 40;
constexpr std::size_t kTrains = 8;  // a round

// One TCP super-packet as the kernel hands it over: checksum left to us.
Bytes super_packet(std::uint32_t source, std::uint32_t destination) {
  Bytes packet(kHeaders + kPayload, 0x5a);
  wire::write_ipv4_header(packet.data(), {.total_octets = static_cast<std::uint16_t>(packet.size()),
                                          .dont_fragment = true,
                                          .ttl = 64,
                                          .protocol = wire::protocol::kTcp,
                                          .source = IpAddress::v4(source),
                                          .destination = IpAddress::v4(destination)});
  auto* tcp = packet.data() + wire::kIpv4HeaderOctets;
  std::fill_n(tcp, 20, std::uint8_t{0});
  store_be16(tcp, 4001);
  store_be16(tcp + 2, 4002);
  store_be32(tcp + 4, 1000);
  tcp[12] = 5 << 4;
  tcp[13] = wire::tcp_flag::kAck;
  store_be16(tcp + 14, 8192);
  return packet;
}

class Trains {
 public:
  explicit Trains(const Algorithm& algorithm)
      : sender_(algorithm, {.size = kSegment + kHeaders}, model::Direction::kOutbound, 1, Gateway::Side::kPeer),
        receiver_(algorithm, {.size = kSegment + kHeaders}, model::Direction::kInbound, 2),
        packet_(super_packet(sender_.host(0), Gateway::kLocalHost)) {}

  // Seals kTrains super-packets.
  void send(Stopwatch* watch) {
    sealed_.clear();
    if (watch != nullptr) watch->start();
    for (std::size_t i = 0; i < kTrains; ++i) {
      engine::OutPacket packet{.bytes = packet_,
                               .offload = {.needs_checksum = true,
                                           .gso = engine::Offload::Gso::kTcpV4,
                                           .segment_octets = kSegment,
                                           .checksum_start = 20,
                                           .checksum_offset = 16},
                               .device = sender_.device()};
      sender_.engine().process_outbound({&packet, 1}, Gateway::kNow, sealed_);
    }
    if (watch != nullptr) watch->stop();
  }

  // Opens what send() sealed.
  void receive(Stopwatch* watch) {
    std::vector<engine::InPacket> arrived;
    for (const auto& verdict : sealed_) {
      const auto* sent = std::get_if<engine::SendToPeer>(&verdict.action);
      if (sent == nullptr) continue;
      auto* data = const_cast<std::uint8_t*>(sent->data.data());  // our own arena
      arrived.push_back({.bytes = {data, sent->data.size()},
                         .segment_octets = sent->segment_octets,
                         .local = sent->remote,
                         .remote = sent->local,
                         .udp = true});
    }
    opened_.clear();
    watch->start();
    receiver_.engine().process_inbound(arrived, Gateway::kNow, opened_);
    watch->stop();
  }

  [[nodiscard]] std::uint64_t sent() { return sender_.engine().statistics().packets_out; }
  [[nodiscard]] std::uint64_t received() { return receiver_.engine().statistics().packets_in; }

 private:
  Gateway sender_;
  Gateway receiver_;
  Bytes packet_;
  engine::Verdicts sealed_;
  engine::Verdicts opened_;
};

void run_trains(benchmark::State& state, const Algorithm& algorithm, model::Direction direction) {
  const bool out = direction == model::Direction::kOutbound;
  Trains trains(algorithm);
  Stopwatch watch;
  for (auto _ : state) {
    trains.send(out ? &watch : nullptr);
    if (!out) trains.receive(&watch);
  }
  constexpr std::uint64_t kSegments = (kPayload + kSegment - 1) / kSegment;
  const auto packets = kSegments * kTrains * static_cast<std::uint64_t>(state.iterations());
  if ((out ? trains.sent() : trains.received()) != packets) state.SkipWithError("packets were lost");
  report(state, packets, {&watch, 1}, cipher_seconds(algorithm, kSegment + kHeaders, direction));
}

}  // namespace

void register_segments() {
  for (const auto& algorithm : algorithms()) {
    const bool first = &algorithm == &algorithms().front();
    if (!first && !all_cases()) continue;
    for (const auto direction : {model::Direction::kOutbound, model::Direction::kInbound}) {
      const std::string name = direction == model::Direction::kOutbound ? "outbound-tso/" : "inbound-gro/";
      benchmark::RegisterBenchmark((name + algorithm.name).c_str(), run_trains, algorithm, direction);
    }
  }
}

}  // namespace cygnet::bench
