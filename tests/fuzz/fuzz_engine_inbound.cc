// SPDX-License-Identifier: Apache-2.0
// Hostile datagrams into an engine with SAs. The input is a script of datagrams; half of what it says is sealed with
// the SA's own key first, so that the code behind the ICV is reached. Whatever arrives, a burst and single packets give
// the same, and so do bursts whose ciphers work elsewhere.
#include <utility>

#include "crypto/esp_cipher.h"
#include "engine/engine.h"
#include "fuzz/engine_flights.h"
#include "fuzz/engine_world.h"
#include "model/sa_spec.h"
#include "wire/esp_header.h"

namespace cygnet::engine::fuzz {
namespace {

// One step: a control octet, a length octet (times 4 when the control says so), the octets.
//   control bit 0: seal these octets as an ESP payload (else they are the datagram)
//   bit 1: transport-mode SA; bit 2: length times 4; bits 3-4: outer ECN; bit 5: encapsulated; bit 6: GRO, cut in two
struct Step {
  Bytes datagram;
  std::size_t segment = 0;
  std::uint8_t tos = 0;
  bool udp = false;
};

Bytes seal(const model::SaSpec& spec, crypto::EspCipher& cipher, std::uint64_t sequence, ByteView payload) {
  Bytes esp(8 + cipher.iv_octets());
  wire::write_esp_header(esp.data(), spec.spi, sequence);
  append(esp, payload);
  // The script writes its own trailer; what is missing to a block is added in front of nothing.
  const std::size_t block = std::max<std::size_t>(4, cipher.block_octets());
  while ((esp.size() - 8 - cipher.iv_octets()) % block != 0 || esp.size() == 8 + cipher.iv_octets()) esp.push_back(4);
  esp.resize(esp.size() + cipher.icv_octets());
  crypto::EspJob job{esp.data(), esp.size(), sequence, false};
  cipher.seal({&job, 1});
  return esp;
}

std::vector<Step> read_script(ByteReader in) {
  const auto tunnel = world_sa(model::Mode::kTunnel, model::Direction::kOutbound);
  const auto transport = world_sa(model::Mode::kTransport, model::Direction::kOutbound);
  const auto tunnel_cipher = crypto::create_esp_cipher(tunnel).value();
  const auto transport_cipher = crypto::create_esp_cipher(transport).value();
  std::vector<Step> steps;
  std::uint64_t sequence = 0;
  while (in.remaining() >= 2 && steps.size() < 64) {
    const auto control = in.u8();
    const std::size_t wanted = in.u8() * ((control & 4) != 0 ? 4U : 1U);
    const auto octets = in.take(std::min(wanted, in.remaining()));
    Step step;
    const bool in_transport = (control & 2) != 0;
    if ((control & 1) != 0) {
      step.datagram = seal(in_transport ? transport : tunnel, in_transport ? *transport_cipher : *tunnel_cipher,
                           ++sequence, octets);
    } else {
      step.datagram.assign(octets.begin(), octets.end());
    }
    step.tos = (control >> 3) & 3;
    step.udp = (control & 32) != 0;
    if ((control & 64) != 0) step.segment = (step.datagram.size() + 1) / 2;
    steps.push_back(std::move(step));
  }
  return steps;
}

enum class How { kSingle, kBurst, kFlights, kUrgent };

std::vector<Bytes> run(std::vector<Step> steps, How how, DropCounters& drops) {
  SeededRandom random(1);
  Engine engine(kWorldSettings, random);
  build_world(engine, how == How::kUrgent);
  Verdicts verdicts(1U << 20U);
  std::vector<InPacket> packets;
  for (auto& step : steps) packets.push_back({step.datagram, step.segment, {}, {}, step.udp, step.tos});
  std::vector<Bytes> delivered;
  if (how == How::kFlights || how == How::kUrgent) {
    fly<InPacket>(engine, Way::kIn, packets, 13,
                  [&](std::span<const Verdict> verdicts_of_one) { collect_delivered(verdicts_of_one, delivered); });
  } else if (how == How::kBurst) {
    engine.process_inbound(packets, kWorldTime, verdicts);
    collect_delivered(verdicts, delivered);
  } else {
    for (auto& packet : packets) {
      verdicts.clear();
      engine.process_inbound({&packet, 1}, kWorldTime, verdicts);
      collect_delivered(verdicts, delivered);
    }
  }
  drops = engine.statistics().drops;
  // A forgery under a number that its neighbour in the burst uses: alone it is a replay, in the burst its ICV is looked
  // at first. Refused it is either way.
  const auto merge = [&](DropReason from) {
    drops[static_cast<std::size_t>(DropReason::kIntegrityFailed)] +=
        std::exchange(drops[static_cast<std::size_t>(from)], 0);
  };
  merge(DropReason::kReplaySeen);
  merge(DropReason::kReplayOld);
  return delivered;
}

}  // namespace
}  // namespace cygnet::engine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cygnet;
  const auto steps = engine::fuzz::read_script(ByteReader({data, size}));
  DropCounters burst_drops{};
  DropCounters single_drops{};
  DropCounters flight_drops{};
  DropCounters urgent_drops{};
  using engine::fuzz::How;
  const auto burst = engine::fuzz::run(steps, How::kBurst, burst_drops);
  const auto single = engine::fuzz::run(steps, How::kSingle, single_drops);
  const auto flights = engine::fuzz::run(steps, How::kFlights, flight_drops);
  auto urgent = engine::fuzz::run(steps, How::kUrgent, urgent_drops);
  auto in_turn = single;
  engine::fuzz::transport_first(urgent);
  engine::fuzz::transport_first(in_turn);
  engine::fuzz::require(burst == single, "a burst delivers what single packets deliver");
  engine::fuzz::require(burst_drops == single_drops, "a burst drops what single packets drop");
  engine::fuzz::require(flights == single, "ciphers elsewhere deliver what single packets deliver");
  engine::fuzz::require(flight_drops == single_drops, "ciphers elsewhere drop what single packets drop");
  engine::fuzz::require(urgent == in_turn, "traffic=latency delivers what single packets deliver");
  engine::fuzz::require(urgent_drops == single_drops, "traffic=latency drops what single packets drop");
  return 0;
}
